"""Text generators: an n-gram model, and networks that stand on it, trained from scratch on one corpus."""
