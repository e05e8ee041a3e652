"""What a short loan of a GPU is for: see `benchmarks.gpu.__main__`."""
