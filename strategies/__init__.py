"""What a strategy's author touches: markets, books, orders, trades.

Pure Python: no Ray, no files, no clock of its own.
"""
