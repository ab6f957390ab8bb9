"""Generator candidates: n-gram, LSTM and transformer language models."""

from orchestration.defs.sweep_asset import sweep_asset
from orchestration.defs.training_asset import training_asset
from training.generator.config import GeneratorConfig
from training.generator.space import GeneratorSweepConfig

_SHOWN = ("validation/bits_per_byte", "test/bits_per_byte")

generator_candidates = training_asset(
    "generator",
    GeneratorConfig,
    _SHOWN,
    "Language models trained from scratch on the masked corpus, scored in bits per byte on held-out later documents, "
    "with samples and leak tests, logged to MLflow; the best on validation asks the gate to be promoted.",
)

generator_trials = sweep_asset(
    "generator",
    GeneratorSweepConfig,
    _SHOWN,
    "Hyper-parameter search by bits per byte on the validation window, within a budget of trials and minutes, each "
    "trial a child run in MLflow; the best configuration is then trained like any candidate and asks the gate.",
)
