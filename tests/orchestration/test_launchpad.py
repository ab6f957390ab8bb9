"""The Launchpad shows the trainers' own hyper-parameters, and hands back the trainers' own configuration."""

from typing import Literal

import dagster as dg
import pytest
from pydantic import BaseModel, Field, ValidationError

from orchestration.defs.launchpad import launchpad_config, trainer_config
from training.recommender.space import RecommenderSweepConfig


class Split(BaseModel):
    """How the data is split."""

    share: float = Field(0.1, gt=0, lt=1, description="Share of the latest events that is held out.")
    kinds: tuple[str, ...] = Field(("a", "b"), description="Kinds kept.")


class Trainer(BaseModel):
    """A trainer's configuration."""

    seed: int = Field(7, description="Seed of everything random.")
    mode: Literal["fast", "slow"] = Field("fast", description="How to train.")
    split: Split = Field(default_factory=Split, description="Split.")


def _trained_with(config: dict[str, object]) -> Trainer:
    seen: list[Trainer] = []
    launchpad = launchpad_config(Trainer)

    @dg.asset
    def trained(config: launchpad) -> None:  # type: ignore[valid-type]
        seen.append(trainer_config(Trainer, config))

    dg.materialize([trained], run_config={"ops": {"trained": {"config": config}}})
    return seen[0]


def test_defaults_come_from_the_trainer() -> None:
    assert _trained_with({}) == Trainer()


def test_a_value_typed_into_a_group_reaches_the_trainer() -> None:
    config = _trained_with({"split": {"share": 0.25, "kinds": ["c"]}, "mode": "slow"})
    assert config == Trainer(mode="slow", split=Split(share=0.25, kinds=("c",)))


def test_every_field_keeps_its_description() -> None:
    fields = launchpad_config(Trainer).model_fields
    assert fields["seed"].description == "Seed of everything random."
    assert fields["split"].annotation.model_fields["share"].description.startswith("Share of the latest")


def test_a_value_out_of_range_is_refused_by_the_trainers_own_rule() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        trainer_config(Trainer, launchpad_config(Trainer)(split={"share": 2.0}))


def test_a_space_typed_into_the_launchpad_replaces_the_default_whole() -> None:
    launchpad = launchpad_config(RecommenderSweepConfig)
    assert trainer_config(RecommenderSweepConfig, launchpad()) == RecommenderSweepConfig()
    typed = trainer_config(RecommenderSweepConfig, launchpad(space={"slist.ridge": "1 to 10"}))
    assert typed.space == {"slist.ridge": "1 to 10"}
    assert all(field.description for field in launchpad.model_fields.values())
