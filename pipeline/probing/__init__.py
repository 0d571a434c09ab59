"""Linear probing: a convex head on the frozen backbone, and what it tells about the data. NumPy and SciPy only."""
