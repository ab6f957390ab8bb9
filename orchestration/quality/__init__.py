"""Contracts (Great Expectations) and drift (Evidently) as pure functions over Arrow tables."""
