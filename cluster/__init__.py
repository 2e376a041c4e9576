"""Fan-out over processes and machines: units, batches, workers, results."""
