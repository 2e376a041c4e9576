"""Betfair: accounts, sessions, requests over HTTP, and lists of bets."""
