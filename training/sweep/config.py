"""What a person decides about a sweep; the families add their own space and hyper-parameters."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

SPACE_HELP = (
    "Hyper-parameters that are searched, by name in `base`: `low to high`, `low to high log`, or values with commas. "
    "What stands here replaces the whole default"
)
BASE_HELP = "Hyper-parameters that the space does not name; the first trial takes these alone"


class SweepConfig(BaseModel):
    """Budget, objective and space of one sweep. A family's own names `base`, its configuration, and `fixed`."""

    model_config = ConfigDict(extra="forbid")

    fixed: ClassVar[tuple[str, ...]] = ()
    """Fields and groups of `base` that cannot be searched."""

    trials: int = Field(
        20, ge=1, description="Trials at most; those of an earlier launch of the same sweep count"
    )
    minutes: float = Field(
        30.0,
        gt=0.0,
        le=180.0,
        description="Time for trials, minutes: none starts when less is left than the longest took. Training the best "
        "configuration comes after",
    )
    objective: str = Field(
        "best",
        description="Whose metric on the validation window is optimised: `best` (of all models of a trial) or one "
        "model's by name",
    )
    space: dict[str, str] = Field(description=SPACE_HELP)
    base: BaseModel = Field(description=BASE_HELP)
