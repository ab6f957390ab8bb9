"""Hyper-parameters of training from feedback; the Launchpad shows these descriptions."""

from pydantic import BaseModel, ConfigDict, Field

from training.generator.config import CorpusConfig, EvaluationConfig, SafetyConfig


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FeedbackConfig(_Group):
    """Which feedback is learnt from, and which is kept to judge by."""

    heldout_share: float = Field(
        0.3,
        gt=0.0,
        lt=0.9,
        description="Share of the pairs, those of the newest prompts, held out to judge by",
    )
    validation_share: float = Field(
        0.15, gt=0.0, lt=0.9, description="Share of the training prompts that decide when to stop"
    )
    min_pairs: int = Field(60, ge=4, description="Fewer training pairs than this: nothing is trained")
    min_heldout_prompts: int = Field(
        30,
        ge=2,
        description="Fewer held-out prompts than this: nothing is trained, as nothing could be judged",
    )
    near_copy_similarity: float = Field(
        0.7,
        gt=0.0,
        le=1.0,
        description="Jaccard similarity of shingles from which two prompts count as the same",
    )
    max_prompt_tokens: int = Field(64, ge=1, description="Last tokens of a prompt that are read")
    max_response_tokens: int = Field(96, ge=4, description="First tokens of a response that are learnt from")


class DpoConfig(_Group):
    """Direct preference optimisation from the champion."""

    beta: float = Field(
        0.3,
        gt=0.0,
        description="How dear it is to move away from the champion: a smaller one lets it move further",
    )
    length_normalised: bool = Field(
        False,
        description="Divide log-ratios by the tokens of their text; `beta` then counts a token, so raise it",
    )
    nll_weight: float = Field(
        0.2,
        ge=0.0,
        description="Weight of the chosen text's own likelihood, in nats a token: it must not fall",
    )
    unpaired_weight: float = Field(
        0.5,
        ge=0.0,
        description="Weight of ratings that have no opposite to be paired with; 0: they are not used",
    )
    corpus_weight: float = Field(
        4.0, ge=0.0, description="Weight of documents of the corpus, in nats a token, against forgetting"
    )
    max_forgetting: float = Field(
        0.012,
        ge=0.0,
        description="Bits a byte that validation documents may cost more than before: weights beyond are not kept",
    )
    learning_rate: float = Field(5e-4, gt=0.0, description="Peak learning rate")
    warmup_share: float = Field(0.1, ge=0.0, lt=1.0, description="Share of the steps in which the rate rises")
    clip_norm: float = Field(1.0, gt=0.0, description="Gradients are scaled down to this norm")
    max_epochs: float = Field(6.0, gt=0.0, description="Passes over the training pairs")
    max_seconds: float = Field(60.0, gt=0.0, description="Wall time of fitting")
    batch_pairs: int = Field(16, ge=1, description="Pairs in one step")
    batch_documents: int = Field(16, ge=1, description="Documents of the corpus in one step")
    document_tokens: int = Field(64, ge=8, description="First tokens of a document that are read in a step")
    evaluations: int = Field(10, ge=1, description="Looks at validation pairs and documents")
    evaluation_documents: int = Field(200, ge=20, description="Validation documents at each look")
    patience: int = Field(3, ge=1, description="Looks without a better value before fitting ends")
    threads: int = Field(1, ge=0, description="Threads of torch; 0: its own default")


class PreferenceConfig(_Group):
    """All of the above."""

    new_rows: int = Field(
        -1,
        ge=-1,
        description="Feedback rows that nothing trained from this champion knows, or nothing is trained; -1: "
        "TIDEGATE_FEEDBACK_VOLUME",
    )
    seed: int = Field(17, ge=0, description="Seed of everything random")
    feedback: FeedbackConfig = Field(default_factory=FeedbackConfig, description="Feedback and its split")
    dpo: DpoConfig = Field(default_factory=DpoConfig, description="Direct preference optimisation")
    corpus: CorpusConfig = Field(
        default_factory=CorpusConfig, description="Documents against forgetting, and their split in time"
    )
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="Scoring")
    safety: SafetyConfig = Field(default_factory=SafetyConfig, description="Leak and behaviour tests")
