"""How the property tests run: the same examples every time, and nothing kept on the disk."""

from hypothesis import settings

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=40)
