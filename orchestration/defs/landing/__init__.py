"""Domain landing."""
