"""Fan-out over processes and machines: batches, the dispatcher, runners, shipping, jobs."""
