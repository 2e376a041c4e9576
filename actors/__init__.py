"""The actor system: what hosts markets and strategies, checks requests and sends them."""
