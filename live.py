"""`hr.Live`: composes clients, strategies and actors into a running system."""
