"""Domain recommender."""
