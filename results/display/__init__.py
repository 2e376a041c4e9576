"""How results are shown: pages, figures, notebooks, the terminal."""
