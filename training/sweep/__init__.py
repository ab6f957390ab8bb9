"""Hyper-parameter search: the space, the loop of trials with its budget, and what it leaves in MLflow."""
