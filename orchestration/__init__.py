"""What runs when, on which data, and what may be promoted."""
