"""What the command lines of the benchmarks at equal wall time have in common."""

import argparse
import math
from collections.abc import Callable, Sequence


def budgets(unit: str, example: str) -> Callable[[str], list[float]]:
    """A parser of lists of positive numbers; it raises ArgumentTypeError."""

    def parse(text: str) -> list[float]:
        try:
            out = sorted({float(part) for part in text.split(",")})
        except ValueError:
            out = []
        if not out or min(out) <= 0 or not all(math.isfinite(one) for one in out):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of {unit} such as {example}")
        return out

    return parse


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of lists of `known` names; it raises ArgumentTypeError."""

    def parse(text: str) -> list[str]:
        out = text.split(",")
        unknown = [name for name in out if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return out

    return parse
