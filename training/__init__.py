"""Training any model: the loop, its state, what it keeps and shows."""
