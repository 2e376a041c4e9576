"""Live trading: what runs in hosts and in the coordinator. Plain classes; engines give them threads or processes."""
