"""States of a stream, and codes with which the exchange refuses what a stream asks (Exchange Stream API, ErrorCode)."""

#: What was asked for cannot be had, or not by this account: asked again after the longest wait only.
REFUSALS = frozenset({"NO_APP_KEY", "INVALID_APP_KEY", "NOT_AUTHORIZED", "INVALID_INPUT", "INVALID_REQUEST"})
#: The session is not good.
SESSION_ERRORS = frozenset({"NO_SESSION", "INVALID_SESSION_INFORMATION"})
LIMIT_EXCEEDED = "SUBSCRIPTION_LIMIT_EXCEEDED"
CONNECTION_LIMIT = "MAX_CONNECTION_LIMIT_EXCEEDED"
#: States, as `StreamState` has them.
CONNECTING, SUBSCRIBED, DOWN, REFUSED, STOPPED = "CONNECTING", "SUBSCRIBED", "DOWN", "REFUSED", "STOPPED"
