"""Hand-written words and sentences of the simulated world."""
