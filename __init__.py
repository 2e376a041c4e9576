"""Headrace: strategies for betting exchanges, simulated and traded as actors on Ray."""
