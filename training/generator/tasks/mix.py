"""Which task documents a network reads beside the plain ones."""

from training.generator.config import TaskConfig
from training.generator.data import Corpus, Documents
from training.generator.tasks.examples import Example, Examples, within
from training.generator.tasks.history import History

_CALIBRATION_BYTES = 250_000


def training_examples(
    corpus: Corpus, history: History, config: TaskConfig, seed: int
) -> tuple[list[Example], list[Example]]:
    """Examples for fitting, `config.share` of the bytes of its plain documents, and for calibration.

    Prompts are made of training documents alone: what was left out of those (abuse, the oldest) stays out.
    """
    known = set(corpus.fitting.ids) | set(corpus.calibration.ids)

    def of(documents: Documents, number: int, n_bytes: float, most: int) -> list[Example]:
        return within(Examples(history, config, seed + number, known, most).of(documents.ids), round(n_bytes))

    fitting = of(corpus.fitting, 0, config.share * int(corpus.fitting.n_bytes.sum()), config.context_bytes)
    return fitting, of(corpus.calibration, 1, _CALIBRATION_BYTES, config.prompt_bytes)
