"""Small matrix products on one thread.

Where other processes want the cores, every barrier between two threads waits for a slice of time: on two busy cores
fitting the blend took 93 s with two BLAS threads, 30 s with one; on idle cores there is little between them.
"""

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def one_blas_thread() -> AbstractContextManager[object]:
    """Let the BLAS of numpy and scipy use one thread within the block; the limit holds for the whole process."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
