"""What is played: recordings, made-up markets, and changes of what is played."""
