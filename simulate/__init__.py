"""The simulated exchange, the recordings that feed it, and the generator of markets."""
