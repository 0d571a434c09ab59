"""Findings about images that a person decides on, and the page on which this is done."""
