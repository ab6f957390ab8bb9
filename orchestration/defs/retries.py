"""Which steps are tried again: those that end the same however often they run. Training and the gate are not."""

import dagster as dg

SAFE = dg.RetryPolicy(max_retries=2, delay=3, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For steps that read, or write what is already there as it is: a busy catalog or a slow start passes."""
