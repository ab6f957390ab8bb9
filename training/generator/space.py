"""What a sweep of the generator searches, unless the Launchpad says otherwise. Forms: see `training.sweep.space`."""

from typing import ClassVar

from pydantic import Field

from training.generator.config import GeneratorConfig
from training.sweep.config import BASE_HELP, SPACE_HELP, SweepConfig

SPACE = {
    "lstm.width": "128, 192, 256, 384",
    "lstm.dropout": "0.0 to 0.4",
    "lstm.learning_rate": "2e-3 to 3e-2 log",
    "transformer.width": "64, 128, 192",
    "transformer.layers": "1 to 4",
    "transformer.learning_rate": "5e-4 to 1e-2 log",
    "transformer.muon_rate": "5e-3 to 4e-2 log",
    "transformer.muon_decay": "2e-2 to 5e-1 log",
}


class GeneratorSweepConfig(SweepConfig):
    """Budget, objective, space and fixed hyper-parameters of one sweep of the generator."""

    fixed: ClassVar[tuple[str, ...]] = ("seed", "corpus", "evaluation", "safety", "ngram.min_authors")
    """What trials are measured on, and what protects the writers of the corpus: a better metric cannot buy it."""

    space: dict[str, str] = Field(SPACE, description=SPACE_HELP)
    base: GeneratorConfig = Field(default_factory=GeneratorConfig, description=BASE_HELP)
