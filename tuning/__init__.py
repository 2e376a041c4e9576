"""What a sweep tries: ranges, parameter sets, and the search for better ones."""
