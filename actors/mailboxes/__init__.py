"""How live actors send each other letters."""
