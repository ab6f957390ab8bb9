"""Domain features."""
