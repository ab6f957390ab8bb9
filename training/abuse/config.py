"""Settings of the abuse classifier."""

from hashlib import sha256
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from training.errors import UserError


class AbuseConfig(BaseModel):
    """Which labels are learnt from, and when the classifier is believed."""

    model_config = ConfigDict(extra="forbid")

    labels: str = Field(
        "",
        description="Labelled texts: CSV (or .csv.gz) with the columns `text` and `label` (1 abusive, 0 not)",
    )
    labels_digest: str = Field("", description="SHA-256 of that file, filled in when a cycle starts")
    min_reporters: int = Field(
        2,
        ge=1,
        description="A document that so many users reported counts as abusive, hidden ones half as much",
    )
    min_seen: int = Field(
        5,
        ge=1,
        description="A document that so many users saw, none reported and none hid, counts as not abusive",
    )
    report_weight: float = Field(
        0.3,
        gt=0.0,
        le=1.0,
        description="Weight of a label that was guessed from reports against one that a person gave",
    )
    expected_share: float = Field(
        0.03,
        gt=0.0,
        lt=1.0,
        description="Share of abusive texts in the feed that probabilities are stated for",
    )
    threshold: float = Field(
        0.5, gt=0.0, lt=1.0, description="Probability from which a text is called abusive"
    )
    min_positives: int = Field(60, ge=10, description="With fewer abusive examples, no classifier is trained")
    min_auc: float = Field(
        0.65,
        ge=0.5,
        lt=1.0,
        description="The lower end of the 95 % interval of AUC on unseen labels must reach this, or it is not used",
    )
    regularisation: float = Field(4.0, gt=0.0, description="Inverse strength of the L2 penalty")

    def located(self, default: Path | None) -> Self:
        """With the file at `default` where none is named, and the digest of the file. Raises UserError."""
        path = self.labels or (str(default) if default else "")
        if not path:
            return self
        try:
            digest = sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"the labelled texts in {path} cannot be read: {error.strerror}") from error
        return self.model_copy(update={"labels": path, "labels_digest": digest})
