"""Weighted logistic regression with a ridge penalty, by Newton's method.

Case-control samples (rare actions kept, the rest thinned) are corrected by weighting each row with the inverse of its
chance to be drawn, so that probabilities come out for the population: King & Zeng 2001, "Logistic Regression in Rare
Events Data", weighting (their section 4.2).
"""

import numpy as np

from training.recommender.models.logit import Matrix, Vector

_STEPS = 30


def sigmoid(value: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-value)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


def fit_logistic(x: Matrix, y: Vector, weight: Vector, penalty: Vector, centre: Vector) -> Vector:
    """argmax of sum of weight * log-likelihood minus 1/2 * sum of penalty * (w - centre)^2.

    x [rows, features], y 0 or 1, weight [rows] with mean about 1, penalty and centre [features]; a constant column is
    the caller's. The penalised likelihood is concave where the penalty is above 0.
    """
    w = centre.copy()
    value = _objective(x, y, weight, penalty, centre, w)
    for _ in range(_STEPS):
        p = sigmoid(x @ w)
        gradient = x.T @ (weight * (y - p)) - penalty * (w - centre)
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (new := _objective(x, y, weight, penalty, centre, w + size * step)) < value and size > 1e-4:
            size /= 2
        if new < value:
            break
        w, gain, value = w + size * step, new - value, new
        if gain < 1e-6 * len(y):
            break
    return w


def _objective(x: Matrix, y: Vector, weight: Vector, penalty: Vector, centre: Vector, w: Vector) -> float:
    z = x @ w
    return float(weight @ (y * z - np.logaddexp(0.0, z)) - 0.5 * penalty @ (w - centre) ** 2)
