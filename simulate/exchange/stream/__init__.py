"""The exchange's stream: connections, subscriptions, and the messages of markets."""
