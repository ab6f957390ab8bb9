"""The weights file: action -> what it is worth, as a reviewer reads it and a server follows it."""

import math
import threading
from collections.abc import Callable
from pathlib import Path

import yaml

from training.errors import UserError
from training.files import stamp
from training.recommender.value.exposures import ACTIONS

Weights = dict[str, float]
DEFAULT = Path(__file__).with_name("action_weights.yaml")


def read_weights(path: Path | None = None) -> Weights:
    """The weights in the YAML file at `path` (None: the project's own).

    Raises UserError, in one line, for a file that cannot be read, an unknown action, a value that is no finite number,
    or when no action is worth more than nothing.
    """
    path = path or DEFAULT
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"action weights: {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise UserError(f"action weights: {path} must map actions to numbers")
    for action, value in found.items():
        if action not in ACTIONS:
            raise UserError(
                f"action weights: {path}: unknown action {action!r}; known are {', '.join(ACTIONS)}"
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"action weights: {path}: {action} must be a number, not {value!r}")
    if not any(value > 0 for value in found.values()):
        raise UserError(f"action weights: {path}: no action has a weight above 0")
    return {action: float(value) for action, value in found.items()}


class WatchedWeights:
    """The weights of a file that may change while they are used. `current` may be called from any thread."""

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        """Raises UserError when the file is not right at the start; `warn` is told of one that is not right later."""
        self._path, self._warn = path or DEFAULT, warn
        self._seen, self._weights = stamp(self._path), read_weights(self._path)
        self._reading = threading.Lock()

    def current(self) -> Weights:
        """The weights as the file has them now; the last good ones while it is not right."""
        now = stamp(self._path)
        if now != self._seen:
            with self._reading:
                if now != self._seen:
                    self._seen = now
                    try:
                        self._weights = read_weights(self._path)
                    except UserError as error:
                        self._warn(f"{error}; the last good weights stay")
        return self._weights
