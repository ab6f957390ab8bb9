"""The policy of a gate: a small YAML file a reviewer can read, checked when it is loaded, versioned by its digest."""

import hashlib
import json
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestration.quality.drift_model import DriftSettings
from training.errors import UserError

POLICY_DIR = Path(__file__).parent / "policies"


class _Part(BaseModel):
    """A section: unknown keys are refused, so a misspelt limit cannot silently fall back to a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ComparisonPolicy(_Part):
    """Point 3: candidate against champion and baselines on the held-out window."""

    metric: str = Field(description="Metric of the score tables.")
    higher_is_better: bool
    min_gain: float = Field(ge=0, description="The interval's lower end must lie above this.")
    baseline_min_gain: float = Field(ge=0, description="The same against every cheap baseline.")
    min_units: int = Field(ge=2, description="Users or documents that the window must hold.")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    resamples: int = Field(2000, ge=200)
    seed: int = 0
    baselines: tuple[str, ...] = Field(min_length=1, description="Baselines that must have been beaten.")


class PreferencePolicy(_Part):
    """Point 3, of a candidate that was trained from feedback: what people prefer, and no forgetting."""

    metric: str = Field(description="What the comparison on held-out pairs is called.")
    tie: float = Field(ge=0, description="Bits a byte: a smaller difference on a pair is a tie.")
    min_gain: float = Field(ge=0, description="The interval's lower end must lie above this.")
    min_units: int = Field(ge=2, description="Prompts that the held-out pairs must come from.")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    resamples: int = Field(2000, ge=200)
    forgetting_margin: float = Field(
        ge=0, description="Loss allowed in the comparison's metric: the lower end must lie above minus this."
    )
    required_suites: tuple[str, ...] = Field(
        min_length=1, description="Suites that must have run on the feedback, besides those of the contracts."
    )


class SlicePolicy(_Part):
    """Point 4: no group may lose more than the margin."""

    dimensions: tuple[str, ...]
    margin: float = Field(ge=0, description="Loss allowed, in the metric's unit.")
    relative_margin: float = Field(
        ge=0, lt=1, description="Or as a share of the other model's mean, if larger."
    )
    min_units: int = Field(ge=2, description="Slices with fewer are listed as not judged.")
    confidence: float = Field(0.90, gt=0.5, lt=1, description="Two-sided; its lower end is a 95 % bound.")
    resamples: int = Field(1000, ge=200)


class ReachPolicy(_Part):
    """Point 4: whom the lists show, against the champion."""

    min_exposure_ratio_small_authors: float = Field(
        gt=0, le=1, description="Share of the champion's exposure of small authors that must be kept."
    )
    exposure_margin: float = Field(
        ge=0, lt=1, description="Or a loss, as a share of all exposure, that always passes."
    )
    max_gini_increase: float = Field(ge=0, lt=1, description="Of the exposure, over posts and over authors.")
    if_worse: Literal["hold", "review"] = Field(description="Whether a person may weigh reach against gain.")
    min_units: int = Field(ge=2, description="Users whose lists are compared.")
    confidence: float = Field(0.90, gt=0.5, lt=1, description="Two-sided; its lower end is a 95 % bound.")
    resamples: int = Field(1000, ge=200)


class DriftPolicy(_Part):
    """Point 5: has the data moved since the candidate, or the champion, was trained."""

    columns: DriftSettings = Field(default_factory=lambda: DriftSettings())
    reference_weeks: int = Field(
        4, ge=1, description="Last whole weeks of a training window that are compared."
    )
    current_weeks: int = Field(1, ge=1, description="Latest whole weeks they are compared with.")
    min_judged: int = Field(ge=1, description="Columns that must have had enough data.")
    max_drifted: int = Field(
        ge=0, description="Columns that may move before the candidate counts as drifted."
    )
    latest_min_units: int = Field(
        ge=2, description="Units the latest window needs when the candidate has drifted."
    )


class DisagreementPolicy(_Part):
    """Point 5: do candidate and champion answer very differently."""

    review_above: float = Field(gt=0, le=1)


class ContractPolicy(_Part):
    """Point 6: suites that must have run on the snapshot trained on."""

    required_suites: tuple[str, ...] = Field(min_length=1)


class Limit(_Part):
    """Bounds of one safety measure, both inclusive."""

    least: float | None = None
    most: float | None = None

    @model_validator(mode="after")
    def _bounds(self) -> "Limit":
        if self.least is None and self.most is None:
            raise ValueError("a limit needs `least` or `most`")
        return self


class ServingPolicy(_Part):
    """Point 8: the real server answers in time."""

    p99_ms: float = Field(gt=0)


class EvidencePolicy(_Part):
    """Point 1: how old evidence and approvals may be."""

    max_age_hours: float = Field(gt=0)
    approval_max_age_hours: float = Field(gt=0)


class ApprovalPolicy(_Part):
    """Whether a person must say yes to every promotion."""

    required: bool


class Policy(_Part):
    """What it takes to promote one model family."""

    model: Literal["recommender", "generator"]
    version: int = Field(ge=1)
    evidence: EvidencePolicy
    comparison: ComparisonPolicy
    preferences: PreferencePolicy | None = Field(
        description="`null` where the family is not trained from feedback."
    )
    slices: SlicePolicy
    reach: ReachPolicy | None = Field(description="`null` where the family shows no lists.")
    drift: DriftPolicy
    disagreement: DisagreementPolicy
    contracts: ContractPolicy
    safety: dict[str, Limit] | None = Field(
        description="Limits by measure; `null` where the family has no report."
    )
    serving: ServingPolicy
    approval: ApprovalPolicy

    @model_validator(mode="after")
    def _limits_of_the_family(self) -> "Policy":
        if self.model == "generator" and not self.safety:
            raise ValueError("a generator's policy needs safety limits")
        if (self.model == "recommender") != (self.reach is not None):
            raise ValueError("a recommender's policy needs limits of reach, and a generator has none")
        if (self.model == "generator") != (self.preferences is not None):
            raise ValueError(
                "a generator's policy needs a section on preferences, and a recommender has none"
            )
        return self

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the values; comments and the order of keys do not change it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_policy(model: str, folder: Path = POLICY_DIR) -> Policy:
    """The policy `folder/MODEL.yaml`. Raises UserError naming the file and the first thing wrong with it."""
    path = folder / f"{model}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"there is no policy for {model}: {path} cannot be read ({error.strerror})"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    try:
        policy = Policy.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {where}: {first['msg']}") from error
    if policy.model != model:
        raise UserError(f"{path} is the policy of {policy.model}, not of {model}")
    return policy
