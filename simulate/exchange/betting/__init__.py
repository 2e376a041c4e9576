"""Placing and changing bets, and the money of accounts."""
