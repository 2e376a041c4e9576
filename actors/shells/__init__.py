"""Engines: live actors as threads of one process, or as Ray actors."""
