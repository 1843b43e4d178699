"""How good completions and samples are."""
