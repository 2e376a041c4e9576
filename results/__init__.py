"""Results: tables of rows, parts and stores of them, and what is worked out from them."""
