"""Many actions, one score: the probability of each action, and the weighted sum of them that the feed is ordered by."""
