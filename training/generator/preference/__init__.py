"""Learning from feedback: preference pairs and ratings in, a candidate that starts from the champion out."""
