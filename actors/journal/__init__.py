"""What a live system writes down, so that it survives the end of any of its processes."""
