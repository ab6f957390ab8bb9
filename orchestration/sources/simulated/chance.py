"""Seeded chance: a generator for each labelled purpose, and hashes that answer without order or state.

A hash of (world, who, what) gives the same number whenever it is asked for, on any day: that is how two days agree on
who is a fan of what, although neither knows the other's events.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that only this purpose and these numbers (of any sign) share."""
    words = [seed, *purpose.encode(), *(number % 2**32 for number in numbers)]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))


def _scramble(value: U64) -> U64:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


def uniform(salt: int, *keys: Any) -> Floats:
    """Numbers in [0, 1), one for each tuple of whole numbers; arrays are broadcast against each other."""
    with np.errstate(over="ignore"):
        state = np.asarray(np.uint64(salt % 2**64))
        for key in keys:
            state = _scramble(state * _ODD + np.asarray(key).astype(np.int64).astype(np.uint64) + _ODD)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(salt: int, *keys: Any) -> Floats:
    """About standard normal numbers, the sum of three uniform ones (bounded by 3), one for each tuple."""
    total = sum(uniform(salt + step, *keys) for step in range(3))
    return np.asarray((total - 1.5) * 2.0, dtype=np.float64)
