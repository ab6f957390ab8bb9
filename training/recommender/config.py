"""Every hyper-parameter of the recommender, in groups, with its meaning: the Launchpad shows these descriptions."""

from pydantic import BaseModel, ConfigDict, Field

from training.recommender.sequential.config import SequentialConfig
from training.recommender.state import HALF_LIVES_H, HISTORY


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SplitConfig(_Group):
    """How history is cut in time, and what is measured on."""

    heldout_share: float = Field(
        0.1,
        gt=0.0,
        lt=0.4,
        description="Share of first interactions in each of the validation and test windows",
    )
    min_window_events: int = Field(
        500, ge=1, description="Windows grow up to a fifth of the data each to hold so many events"
    )
    min_events: int = Field(
        200, ge=10, description="Fewer first interactions than this: no recommender is trained"
    )
    min_users: int = Field(
        20, ge=2, description="Fewer users with a first interaction than this: no recommender is trained"
    )
    refresh_s: float = Field(3600.0, gt=0.0, description="Seconds between two refreshes of the state")
    max_validation_events: int = Field(
        4000, ge=50, description="Validation events ranked (a sample, the same for all models)"
    )
    bootstrap: int = Field(1000, ge=100, description="Resamples of users behind each interval")


class PopularityConfig(_Group):
    """Popularity with time decay."""

    half_lives_h: list[float] = Field(
        list(HALF_LIVES_H),
        min_length=1,
        description="Half-lives tried, hours; each must be one that the state keeps",
    )
    births: list[float] = Field(
        [0.3, 1.0, 3.0, 10.0],
        min_length=1,
        description="How many actions a post's own creation counts as: values tried",
    )


class KnnConfig(_Group):
    """Item-kNN on the state's co-occurrence."""

    shrinkage: float = Field(
        5.0, ge=0.0, description="Added to the number of users of a post before the cosine"
    )
    recency: float = Field(0.95, gt=0.0, le=1.0, description="Weight of one step back in the user's history")
    strengths: list[float] = Field(
        [0.25, 0.5, 1.0], min_length=1, description="Exponents of the signal tried"
    )
    scales: list[float] = Field(
        [0.01, 0.1], min_length=1, description="Signal sizes at which it begins to count: values tried"
    )


class ContentConfig(_Group):
    """Likeness of text, topics, author, community and language to the history."""

    dimensions: int = Field(64, ge=1, le=64, description="Dimensions of the texts' vectors")
    text_share: float = Field(
        0.3,
        ge=0.0,
        le=1.0,
        description="Weight of the text; the rest is author, community, language and topics",
    )
    recency: float = Field(0.9, gt=0.0, le=1.0, description="Weight of one step back in the user's history")
    strengths: list[float] = Field(
        [0.5, 1.0, 2.0, 4.0], min_length=1, description="Exponents of the signal tried"
    )
    scales: list[float] = Field(
        [0.1, 0.5], min_length=1, description="Signal sizes at which it begins to count: values tried"
    )


class AlsConfig(_Group):
    """Implicit ALS, by the library `implicit`."""

    factors: int = Field(32, ge=1, description="Length of the vectors of users and posts")
    ridge: float = Field(10.0, gt=0.0, description="Ridge penalty lambda")
    alpha: float = Field(20.0, ge=1.0, description="Confidence in an action; 1 in its absence")
    iterations: int = Field(15, ge=1, description="Rounds of solving for users, then posts")
    strengths: list[float] = Field(
        [0.25, 0.5, 1.0, 2.0], min_length=1, description="Exponents of the signal tried"
    )
    scales: list[float] = Field(
        [0.01, 0.1], min_length=1, description="Signal sizes at which it begins to count: values tried"
    )


class SlistConfig(_Group):
    """Closed-form next-item ridge regression."""

    window: int = Field(20, ge=1, le=50, description="Posts of the history that count")
    decay: float = Field(0.8, gt=0.0, le=1.0, description="Weight of one step back in the history")
    ridge: float = Field(10.0, gt=0.0, description="Ridge penalty lambda")
    half_life_days: float = Field(90.0, gt=0.0, description="Training events this much older weigh half")
    max_posts: int = Field(
        5000, ge=2, description="Most frequent posts modelled; the Gram matrix is dense in them"
    )
    keep: int = Field(100, ge=1, description="Largest weights kept for each post")
    strengths: list[float] = Field(
        [0.25, 0.5, 1.0], min_length=1, description="Exponents of the signal tried"
    )
    scales: list[float] = Field(
        [0.01, 0.1], min_length=1, description="Signal sizes at which it begins to count: values tried"
    )


class SequentialGroup(SequentialConfig):
    """Transformer over skip-transition counts, for the posts known when it is trained."""

    enabled: bool = Field(True, description="Train it at all")
    seconds: float = Field(20.0, gt=0.0, description="Time budget, seconds")
    threads: int = Field(0, ge=0, description="Cores; 0: all. The same seed repeats on one alone")
    length: int = Field(HISTORY, ge=2, le=HISTORY, description="Posts of the history that are read")
    strengths: list[float] = Field(
        [0.25, 0.5, 1.0], min_length=1, description="Exponents of the signal tried"
    )
    scales: list[float] = Field(
        [0.01, 0.1], min_length=1, description="Signal sizes at which it begins to count: values tried"
    )


class SasrecConfig(_Group):
    """Causal transformer over the user's history."""

    enabled: bool = Field(True, description="Train it at all")
    width: int = Field(64, ge=8, description="Width of all vectors")
    blocks: int = Field(2, ge=1, description="Transformer blocks")
    heads: int = Field(2, ge=1, description="Attention heads; must divide the width")
    length: int = Field(50, ge=2, le=50, description="Posts of the history that are read")
    dropout: float = Field(0.2, ge=0.0, lt=1.0, description="Dropout")
    drop_id: float = Field(
        0.3, ge=0.0, lt=1.0, description="Chance that a post is known by its content alone, while training"
    )
    learning_rate: float = Field(2e-3, gt=0.0, description="AdamW learning rate after warm-up")
    weight_decay: float = Field(0.01, ge=0.0, description="AdamW weight decay")
    max_epochs: int = Field(30, ge=1, description="Epochs at most")
    patience: int = Field(3, ge=1, description="Epochs without a better validation NDCG before stopping")
    max_seconds: float = Field(45.0, gt=0.0, description="Time budget of the training loop, seconds")
    max_events: int = Field(100_000, ge=1, description="Latest training events used")
    max_validation: int = Field(1500, ge=1, description="Validation events for early stopping")


class BlendConfig(_Group):
    """Conditional logit over features of popularity, freshness, affinity and the other models."""

    max_groups: int = Field(
        3000, ge=50, description="Held-out events fitted on, half of them from the validation window"
    )
    candidates: int = Field(
        256, ge=16, description="Posts in the choice set of each event (the liveliest, and a weighted sample)"
    )
    penalties: list[float] = Field(
        [3.0, 10.0, 30.0, 100.0, 300.0], min_length=1, description="L2 penalties tried"
    )
    folds: int = Field(
        3, ge=2, description="Folds of users behind the choice of penalty and the validation score"
    )


class ActionsConfig(_Group):
    """Probabilities of single actions; what each is worth is read from a file of weights, not learned."""

    max_chances: int = Field(
        12_000,
        ge=500,
        description="Impressions (where none are logged: first reactions) fitted on; rare actions are kept, the rest "
        "is thinned and weighted back",
    )
    max_test_chances: int = Field(3000, ge=100, description="Of the test window, for calibration")
    attribution_h: float = Field(
        24.0, gt=0.0, description="An action belongs to an impression at most so many hours earlier"
    )
    position: bool = Field(
        True, description="Correct for the position (an additive term, set to the first place when serving)"
    )
    penalty: float = Field(10.0, gt=0.0, description="L2 penalty on standardised features")
    place_penalty: float = Field(1.0, gt=0.0, description="L2 penalty on the terms of the position")
    weights: str = Field(
        "",
        description="File of weights that the test window is judged by; empty: TIDEGATE_ACTION_WEIGHTS, or the "
        "project's own. Changing what is in the file trains nothing",
    )
    depth: int = Field(
        300, ge=10, description="Best posts of the ranking model that are ordered by the weighted sum"
    )


class RecommenderConfig(_Group):
    """Hyper-parameters of one training cycle of the recommender."""

    seed: int = Field(7, ge=0, description="Seed of everything random")
    split: SplitConfig = Field(default_factory=SplitConfig)
    popularity: PopularityConfig = Field(default_factory=PopularityConfig)
    item_knn: KnnConfig = Field(default_factory=KnnConfig)
    content: ContentConfig = Field(default_factory=ContentConfig)
    als: AlsConfig = Field(default_factory=AlsConfig)
    slist: SlistConfig = Field(default_factory=SlistConfig)
    sequential: SequentialGroup = Field(default_factory=SequentialGroup)
    sasrec: SasrecConfig = Field(default_factory=SasrecConfig)
    blend: BlendConfig = Field(default_factory=BlendConfig)
    actions: ActionsConfig = Field(default_factory=ActionsConfig)
    snapshot_events: int = Field(
        200_000, ge=1, description="Latest positive events kept in the bundle's own state"
    )
