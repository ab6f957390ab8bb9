"""Generator candidates: n-gram, LSTM and transformer language models."""

from orchestration.defs.training_asset import training_asset
from training.generator.config import GeneratorConfig

generator_candidates = training_asset(
    "generator",
    GeneratorConfig,
    ("validation/bits_per_byte", "test/bits_per_byte"),
    "Language models trained from scratch on the masked corpus, scored in bits per byte on held-out later documents, "
    "with samples and leak tests, logged to MLflow; the best on validation asks the gate to be promoted.",
)
