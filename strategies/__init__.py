"""What the author of a strategy uses: markets, books, orders, trades.

Pure Python: no Ray, no files, no clock of its own.
"""
