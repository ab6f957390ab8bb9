"""Domain generator."""
