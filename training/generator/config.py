"""Every hyper-parameter of the text generators, in groups, with its meaning: the Launchpad shows these descriptions."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from training.abuse.config import AbuseConfig


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CorpusConfig(_Group):
    """Which documents are trained and measured on."""

    heldout_share: float = Field(
        0.1, gt=0.0, lt=0.4, description="Share of documents, the newest, in each of validation and test"
    )
    max_heldout_documents: int = Field(
        2000, ge=50, description="Documents scored in each held-out window; more are sampled evenly in time"
    )
    max_training_bytes: int = Field(
        24_000_000, ge=10_000, description="Newest training text used, UTF-8 bytes; older text is left out"
    )
    calibration_share: float = Field(
        0.05,
        gt=0.0,
        lt=0.5,
        description="Share of training documents, the newest, on which a gate learns when to trust a network that was "
        "fitted alone (`fit.on_ngrams` off)",
    )
    max_document_bytes: int = Field(
        20_000, ge=100, description="Longer documents are cut here, at a character, for training"
    )
    min_training_documents: int = Field(
        200, ge=20, description="Fewer training documents than this: no generator is trained"
    )
    min_training_bytes: int = Field(
        20_000, ge=1000, description="Less training text than this, UTF-8 bytes: no generator is trained"
    )
    min_heldout_documents: int = Field(
        30, ge=5, description="Fewer documents in a held-out window than this: no generator is trained"
    )
    leave_out_abuse: bool = Field(
        True,
        description="Leave training documents with a strong insult out: a generator says again what it has read",
    )
    near_copy_similarity: float = Field(
        0.7,
        gt=0.0,
        le=1.0,
        description="Jaccard similarity of shingles from which a document counts as a copy",
    )


class TokenizerConfig(_Group):
    """Byte-level byte-pair encoding."""

    vocabulary: int = Field(
        0, ge=0, le=32_768, description="Entries; 0: 1.1 times the square root of the training bytes"
    )
    max_vocabulary: int = Field(
        4096, ge=512, le=32_768, description="Most entries chosen where `vocabulary` is 0"
    )
    min_frequency: int = Field(2, ge=1, description="Pairs seen less often are not merged")


class NgramConfig(_Group):
    """Interpolated modified Kneser-Ney over tokens: baseline, and partner of both networks."""

    order: int = Field(
        4,
        ge=2,
        le=16,
        description="Tokens in the longest n-gram; at most 64 bits hold one, so few where there are many kinds",
    )
    folds: int = Field(
        4,
        ge=2,
        description="Parts of the training text; a network learns on each beside counts of all the others",
    )
    min_authors: int = Field(
        2,
        ge=1,
        description="n-grams of 3 tokens and more are kept only when so many authors wrote them: nothing that one "
        "person alone wrote can be recited",
    )


class LstmConfig(_Group):
    """Recurrent network."""

    width: int = Field(256, ge=8, description="Hidden units")
    embedding: int = Field(128, ge=8, description="Width of the token vectors, shared by input and output")
    layers: int = Field(1, ge=1, le=4, description="Layers")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="Share of activations dropped in training")
    learning_rate: float = Field(1.2e-2, gt=0.0, description="Peak learning rate")
    weight_decay: float = Field(0.01, ge=0.0, description="Decoupled weight decay of matrices")
    max_seconds: float = Field(40.0, gt=0.0, description="Wall time of fitting")
    max_steps: int = Field(100_000, ge=1, description="Most optimiser steps")
    row_tokens: int = Field(64, ge=8, description="Tokens in one packed row")
    batch_rows: int = Field(8, ge=1, description="Rows in one step")


class TransformerConfig(_Group):
    """Decoder-only transformer."""

    width: int = Field(128, ge=16, description="Width of the residual stream")
    layers: int = Field(3, ge=1, le=12, description="Blocks")
    heads: int = Field(2, ge=1, description="Attention heads; must divide the width into even parts")
    feed_forward: int = Field(512, ge=16, description="Width of the feed-forward layer")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of each block's output dropped in training"
    )
    learning_rate: float = Field(4e-3, gt=0.0, description="Peak learning rate of tables and vectors (AdamW)")
    muon_rate: float = Field(0.02, gt=0.0, description="Peak learning rate of the blocks' matrices (Muon)")
    weight_decay: float = Field(0.1, ge=0.0, description="Decoupled weight decay of tables")
    muon_decay: float = Field(0.1, ge=0.0, description="Decoupled weight decay of the blocks' matrices")
    max_seconds: float = Field(30.0, gt=0.0, description="Wall time of fitting")
    max_steps: int = Field(100_000, ge=1, description="Most optimiser steps")
    row_tokens: int = Field(
        128, ge=16, description="Tokens in one packed row, and the most that one prediction looks back on"
    )
    batch_rows: int = Field(8, ge=1, description="Rows in one step")


class PretrainedConfig(_Group):
    """Fine-tuning of the public model that `base_model` names."""

    method: Literal["lora", "full"] = Field(
        "lora", description="`lora`: adapters of low rank, merged at the end; `full`: all weights"
    )
    rank: int = Field(16, ge=1, description="Rank of the adapters, on every linear layer of the blocks")
    alpha: float = Field(32.0, gt=0.0, description="Adapters are scaled by this over the rank")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of the adapters' inputs dropped in training"
    )
    learning_rate: float = Field(
        0.0, ge=0.0, description="Peak learning rate; 0: 2e-4 for adapters, 2e-5 for all weights"
    )
    weight_decay: float = Field(0.0, ge=0.0, description="Decoupled weight decay of matrices")
    max_seconds: float = Field(
        300.0, gt=0.0, description="Wall time of fitting, looks at validation included"
    )
    max_steps: int = Field(100_000, ge=1, description="Most optimiser steps")
    row_tokens: int = Field(256, ge=8, description="Tokens in one packed row")
    batch_rows: int = Field(4, ge=1, description="Rows in one step")
    context: int = Field(
        512,
        ge=16,
        description="Most tokens that one prediction looks back on, in scoring and serving; at most what the model "
        "was built for",
    )
    evaluations: int = Field(4, ge=1, description="Looks at the validation documents besides the first")
    evaluation_documents: int = Field(60, ge=5, description="Validation documents at each look")
    threads: int = Field(0, ge=0, description="Threads that share a step's rows; 0: one a core")
    allow_download: bool = Field(
        False,
        description="Fetch a Hugging Face id that is not in the local cache; off: nothing leaves the machine",
    )


class FitConfig(_Group):
    """The training loop, the same for all networks."""

    warmup_share: float = Field(
        0.05, ge=0.0, lt=1.0, description="Share of the budget in which the rate rises"
    )
    final_rate_share: float = Field(
        0.05, ge=0.0, le=1.0, description="Rate at the end, as a share of the peak"
    )
    beta2: float = Field(0.99, gt=0.0, lt=1.0, description="AdamW's decay of squared gradients")
    clip_norm: float = Field(1.0, gt=0.0, description="Gradients are scaled down to this norm")
    evaluations: int = Field(8, ge=1, description="Looks at the validation documents within the budget")
    evaluation_documents: int = Field(300, ge=20, description="Validation documents at each look")
    patience: int = Field(3, ge=1, description="Looks without a better value before fitting ends")
    half_precision: bool = Field(
        True, description="Multiply in bfloat16 while fitting, where the processor is faster at it"
    )
    on_ngrams: bool = Field(
        True,
        description="Networks learn what the n-gram model lacks; off: they learn alone, and a gate mixes the two after",
    )
    threads: int = Field(
        0,
        ge=0,
        description="Threads that share a step's rows; 0: one a core. With one, a seed gives the same weights",
    )


class TaskConfig(_Group):
    """Documents of tasks beside the plain ones: drafts, replies, conversations, summaries, answers."""

    share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Bytes of task documents that a network is fitted on, as a share of the plain ones. 0: none, which "
        "did as well within half a minute: what a prompt is worth is learned by the cache of the prompt",
    )
    context_bytes: int = Field(
        320,
        ge=64,
        description="UTF-8 bytes of the prompts that a network learns from: about what it looks back on",
    )
    prompt_bytes: int = Field(1200, ge=64, description="UTF-8 bytes of the prompts that are answered")
    window: int = Field(
        96, ge=8, description="Tokens of a prompt that a network reads, where it reads prompts"
    )
    own_posts: int = Field(8, ge=1, description="Earlier posts of a writer in the prompt of a draft")
    ancestors: int = Field(3, ge=1, description="Posts of a conversation in the prompt of a reply")
    measured: int = Field(100, ge=20, description="Held-out examples of each task that are scored")


class EvaluationConfig(_Group):
    """Bits per byte, and the choice among the candidates."""

    batch_tokens: int = Field(4096, ge=256, description="Tokens scored at once")
    bootstrap: int = Field(1000, ge=100, description="Resamples of documents behind each interval")
    min_slice_documents: int = Field(30, ge=2, description="Smaller slices get no metric of their own")


class SafetyConfig(_Group):
    """Leak and behaviour tests."""

    canaries: int = Field(
        8, ge=1, description="Random secrets planted in the training text, half of them Chinese"
    )
    canary_repeats: int = Field(1, ge=1, description="Times each is planted, by the same made-up author")
    canary_digits: int = Field(9, ge=4, le=16, description="Digits of a secret")
    exposure_candidates: int = Field(
        255, ge=63, description="Other secrets that a planted one is ranked among"
    )
    extraction_samples: int = Field(
        8, ge=1, description="Sampled answers to a canary's opening, besides the greedy one"
    )
    samples: int = Field(
        128, ge=8, description="Texts sampled for personal data, repetition, abuse and degeneration"
    )
    sample_tokens: int = Field(48, ge=8, description="Most tokens of a sampled text")
    temperature: float = Field(0.9, gt=0.0, description="Temperature of the samples")
    top_p: float = Field(0.95, gt=0.0, le=1.0, description="Probability mass kept in sampling")


class GeneratorConfig(_Group):
    """All of the above."""

    seed: int = Field(17, ge=0, description="Seed of everything random")
    corpus: CorpusConfig = Field(
        default_factory=CorpusConfig, description="Documents and their split in time"
    )
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="Byte-pair encoding")
    ngram: NgramConfig = Field(default_factory=NgramConfig, description="n-gram model")
    lstm: LstmConfig = Field(default_factory=LstmConfig, description="Recurrent network")
    transformer: TransformerConfig = Field(default_factory=TransformerConfig, description="Transformer")
    base_model: str = Field(
        "",
        description="Public model to fine-tune as one more candidate: `smollm2`, a folder, a GGUF file or a Hugging "
        "Face id; empty: none",
    )
    pretrained: PretrainedConfig = Field(
        default_factory=PretrainedConfig, description="Fine-tuning of `base_model`"
    )
    fit: FitConfig = Field(default_factory=FitConfig, description="Training loop")
    tasks: TaskConfig = Field(default_factory=TaskConfig, description="Documents of tasks")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="Scoring and choice")
    abuse: AbuseConfig = Field(default_factory=AbuseConfig, description="Abuse classifier")
    safety: SafetyConfig = Field(default_factory=SafetyConfig, description="Leak and behaviour tests")
