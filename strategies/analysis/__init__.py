"""A strategy's source, read without running it: what its results depend on, and what decides its checks of a book."""
