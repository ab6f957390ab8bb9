"""How many threads torch works on, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch on `count` threads inside; 0: as it is. Holds for the whole process.

    Steps of a few rows are slower on several threads than on one, and far slower where other work wants the cores too:
    every operation waits for the slowest thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
