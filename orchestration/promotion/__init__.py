"""The gate: evidence in, a decision with reasons out; a ledger that decides, a registry that follows it."""
