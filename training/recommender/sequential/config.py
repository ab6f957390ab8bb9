"""Settings of the sequential models, the same for every catalogue."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from training.recommender.arrays import Ints

DENSE_ITEMS = 16_384
"""Catalogues up to this size have a dense table of transitions: at most 1 GiB."""


class TransitionConfig(BaseModel):
    """Skip-transition counts."""

    model_config = ConfigDict(extra="forbid")
    window: int = Field(10, ge=1, description="Places within which an item counts as following another")
    count_decay: float = Field(0.7, gt=0.0, le=1.0, description="Weight of one more place between the two")
    decay: float = Field(0.6, gt=0.0, lt=1.0, description="Weight of one step back in the history")
    shrinkage: float = Field(30.0, ge=0.0, description="Added to an item's total count before dividing by it")
    floor: float = Field(1e-3, gt=0.0, description="Added to every score, so that its logarithm is finite")
    reach: int = Field(30, ge=1, description="Latest items of the history that count in use")
    keep: int = Field(50, ge=1, description="Largest entries kept for each item of a long catalogue")
    entries: int = Field(1 << 24, ge=1, description="Largest entries kept of a long catalogue's whole table")


class SparseConfig(BaseModel):
    """What is different where items have few events each."""

    model_config = ConfigDict(extra="forbid")
    dropout: float = Field(0.5, ge=0.0, lt=1.0, description="Dropout")
    weight_decay: float = Field(1.0, ge=0.0, description="AdamW weight decay of the embeddings")
    max_epochs: int = Field(10, ge=1, description="Epochs at most, whatever the time")
    max_validation: int = Field(
        2000, ge=1, description="Users that the terms' weights are chosen by, at most"
    )
    rehearsal: bool = Field(True, description="Whether everybody's last item is held out")


class SequentialConfig(BaseModel):
    """The transformer on top of the transitions."""

    model_config = ConfigDict(extra="forbid")
    seed: int = Field(0, ge=0, description="Seed of everything random")
    width: int = Field(128, ge=8, description="Width of all vectors")
    narrow: int = Field(
        64, ge=8, description="Width where the time is too short for `epochs_wanted` at `width`"
    )
    epochs_wanted: float = Field(3.0, ge=0.0, description="Epochs that the full width is worth waiting for")
    blocks: int = Field(2, ge=1, description="Transformer blocks")
    heads: int = Field(4, ge=1, description="Attention heads; must divide both widths")
    length: int = Field(128, ge=2, description="Items of the history that are read")
    dropout: float = Field(0.2, ge=0.0, lt=1.0, description="Dropout")
    sparse_events: float = Field(
        100.0,
        ge=0.0,
        description="With fewer events an item than this, what is seldom seen is held back: `sparse`",
    )
    sparse: SparseConfig = Field(default_factory=SparseConfig)
    tokens: int = Field(4096, ge=64, description="Items a step learns from")
    learning_rate: float = Field(5e-3, gt=0.0, description="AdamW learning rate (embeddings, gains, biases)")
    muon_rate: float = Field(0.01, gt=0.0, description="Muon learning rate (matrices of the blocks)")
    weight_decay: float = Field(0.05, ge=0.0, description="AdamW weight decay of the embeddings")
    adjustments: list[float] = Field(
        [0.0, 0.1, 0.2, 0.3, 0.5, 0.7],
        min_length=1,
        description="Shares of an item's log count taken off its score in use: the best on held-out users is kept",
    )
    net_shares: list[float] = Field(
        [1.0, 0.7, 0.5, 0.35, 0.25, 0.12, 0.0],
        min_length=1,
        description="Weights of what the network says beside the counts, likewise",
    )
    lateness: list[float] = Field(
        [0.0, 0.1, 0.2, 0.3, 0.45, 0.6],
        min_length=1,
        description="Weights of how often an item is the latest of its users, likewise",
    )
    rehearsal: bool = Field(
        False,
        description="Whether everybody's last item is held out while weights are chosen, and counted in the end",
    )
    constant_share: float = Field(0.4, ge=0.0, lt=1.0, description="Share of the training before rates fall")
    max_epochs: int = Field(40, ge=1, description="Epochs at most, whatever the time")
    own_rows: int = Field(65_536, ge=1, description="Most frequent items that have a vector of their own")
    shared_rows: int = Field(65_536, ge=1, description="Vectors that all other items share by hashing")
    full_items: int = Field(
        DENSE_ITEMS, ge=1, le=DENSE_ITEMS, description="Longest catalogue with a softmax over all of it"
    )
    negatives: int = Field(4096, ge=1, description="Items drawn for a step's softmax on longer catalogues")
    validation_share: float = Field(
        0.2,
        ge=0.0,
        lt=1.0,
        description="Share of the users whose last item is held out to choose the weights",
    )
    max_validation: int = Field(1000, ge=1, description="At most so many of them")
    transitions: TransitionConfig = Field(default_factory=TransitionConfig)

    def for_counts(self, counts: Ints) -> Self:
        """The settings for items that occur so often."""
        if counts.mean() >= self.sparse_events:
            return self
        return self.model_copy(update=self.sparse.model_dump())


class RetrievalConfig(BaseModel):
    """How the best posts of a catalogue are found."""

    model_config = ConfigDict(extra="forbid")
    exact_items: int = Field(
        32_768, ge=1, description="Longest catalogue that is scored whole for every request"
    )
    connectivity: int = Field(16, ge=2, description="Neighbours of an entry in the index's graph")
    expansion_add: int = Field(128, ge=1, description="Entries looked at to place one more")
    expansion_search: int = Field(
        256, ge=1, description="Entries looked at in a search: more finds more, slower"
    )
