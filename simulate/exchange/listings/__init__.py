"""What there is to bet on, prices, and lists of bets."""
