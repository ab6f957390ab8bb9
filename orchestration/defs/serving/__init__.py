"""Domain serving."""
