"""The search space as a person types it: hyper-parameter name to range or values, checked before the first trial.

`8 to 64`, `1e-4 to 1e-2 log`, `32, 64, 128` or `true, false`. Types and bounds are those of the hyper-parameter itself.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from training.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

C = TypeVar("C", bound=BaseModel)

_RANGE = re.compile(r"(\S+)\s+to\s+(\S+?)(\s+log)?")
_FORMS = "write `low to high`, `low to high log` or values with commas"


def parse_space(
    texts: Mapping[str, str], base: BaseModel, fixed: Collection[str]
) -> "dict[str, BaseDistribution]":
    """Optuna distributions by hyper-parameter name.

    `fixed` names the fields and groups of `base` that all trials must share to be comparable. Raises UserError, in one
    line, for a name that is unknown or fixed, and for values that are not written well or that `base` refuses.
    """
    if not texts:
        raise UserError("the search space is empty: name at least one hyper-parameter")
    return {name: _distribution(name, text.strip(), base, fixed) for name, text in texts.items()}


def with_values(config: C, values: Mapping[str, Any]) -> C:
    """`config` with the named values in place of its own. Raises ValidationError for values that it refuses."""
    known = config.model_dump()
    for name, value in values.items():
        *groups, field = name.split(".")
        place = known
        for group in groups:
            place = place[group]
        place[field] = value
    return type(config).model_validate(known)


def value_of(config: BaseModel, name: str) -> Any:
    """The value called `name`, e.g. `slist.ridge`. Raises AttributeError."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def contains(distribution: "BaseDistribution", value: Any) -> bool:
    """Whether `value` is one that the distribution can give."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return value in choices
    return bool(distribution.low <= value <= distribution.high)


def _distribution(name: str, text: str, base: BaseModel, fixed: Collection[str]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    known = _names(base)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise UserError(f"{name} is no hyper-parameter" + (f"; did you mean {near[0]}?" if near else ""))
    if name in fixed or name.split(".")[0] in fixed:
        raise UserError(f"{name} cannot be searched: trials are comparable only where it is the same for all")
    if not isinstance(value_of(base, name), bool | int | float | str):
        raise UserError(f"{name} cannot be searched: it is not a single value")
    if "," in text:
        values = tuple(dict.fromkeys(_accepted(name, part.strip(), base) for part in text.split(",")))
        if len(values) < 2:
            raise UserError(f"{name}: `{text}` leaves nothing to choose")
        return CategoricalDistribution(values)
    found = _RANGE.fullmatch(text)
    if found is None:
        raise UserError(f"{name}: `{text}` is no range and no list of values; {_FORMS}")
    low, high = (_accepted(name, end, base) for end in found.group(1, 2))
    log = found.group(3) is not None
    if isinstance(low, bool | str):
        raise UserError(f"{name}: `{text}` is a range, but its values are no numbers; write them with commas")
    if low >= high:
        raise UserError(f"{name}: in `{text}` the low end is not below the high end")
    if log and low <= 0:
        raise UserError(f"{name}: in `{text}` the low end of a logarithmic range is not above 0")
    if isinstance(low, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _names(config: BaseModel, prefix: str = "") -> list[str]:
    names = []
    for field in type(config).model_fields:
        value = getattr(config, field)
        if isinstance(value, BaseModel):
            names += _names(value, f"{prefix}{field}.")
        else:
            names.append(prefix + field)
    return names


def _accepted(name: str, text: str, base: BaseModel) -> Any:
    """The typed value, as the hyper-parameter's own rules read it."""
    try:
        return value_of(with_values(base, {name: text}), name)
    except ValidationError as error:
        raise UserError(f"{name}: {text}: {error.errors()[0]['msg']}") from error
