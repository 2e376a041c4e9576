"""The exchange over HTTP: calls, identity, the page, control calls."""
