"""Archives of recordings: the catalog of their markets, packed files, price tables."""
