"""Calibration: what became of the orders of a recorded session, against what simulation makes of the same orders."""
