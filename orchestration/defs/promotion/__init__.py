"""Domain promotion."""
