"""The web page of a live system, served by an actor of its own."""
