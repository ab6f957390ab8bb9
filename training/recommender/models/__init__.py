"""The models, from the cheapest to the one that blends them all."""
