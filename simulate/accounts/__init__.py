"""Accounts at an exchange: which bets it takes of them, what they have, what it charges, and in which currency."""
