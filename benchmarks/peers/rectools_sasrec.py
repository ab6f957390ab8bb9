"""SASRec by RecTools at the library's defaults. `python rectools_sasrec.py CORPUS MINUTES OUT`, minutes as `1,5,15`.

One training as long as the longest budget; the weights are kept aside at the end of each shorter one.
"""

import copy
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from leave_one_out import Corpus

TOP = 50


class Marks(Callback):
    """Keeps the weights at each mark, and stops at the last."""

    def __init__(self, seconds: list[float]) -> None:
        self.left, self.kept = sorted(seconds), []
        self.began = time.monotonic()
        self.aside = 0.0

    def on_train_batch_end(self, trainer: Trainer, module: object, *_: object) -> None:
        """Look at the clock."""
        now = time.monotonic() - self.began - self.aside
        while self.left and now >= self.left[0]:
            self.left.pop(0)
            self.kept.append((now, copy.deepcopy(module.torch_model.state_dict())))
        self.aside = time.monotonic() - self.began - now
        trainer.should_stop = not self.left


def frame(sequences: list[np.ndarray]) -> pd.DataFrame:
    """Interactions; the place in the sequence stands for the time."""
    sizes = [len(items) for items in sequences]
    place = np.concatenate([np.arange(size) for size in sizes])
    return pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(sequences)), sizes),
            Columns.Item: np.concatenate(sequences),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(place, unit="s"),
        }
    )


def ranks(model: SASRecModel, corpus: Corpus) -> np.ndarray:
    """Place of the test item among the best 50, infinite beyond."""
    dataset = Dataset.construct(frame(corpus.histories))
    listed = model.recommend(
        np.arange(len(corpus)), dataset, k=TOP, filter_viewed=True, on_unsupported_targets="ignore"
    )
    hits = listed[listed[Columns.Item].to_numpy() == corpus.test[listed[Columns.User].to_numpy()]]
    out = np.full(len(corpus), np.inf)
    out[hits[Columns.User].to_numpy()] = hits[Columns.Rank].to_numpy() - 1
    return out


def main() -> None:
    """Train, then rank with each of the kept weights."""
    path, minutes, out = sys.argv[1:]
    corpus = Corpus.load(Path(path))
    seed_everything(0)
    marks = Marks([float(part) * 60 for part in minutes.split(",")])
    model = SASRecModel(
        get_trainer_func=lambda: Trainer(
            max_epochs=10_000,
            callbacks=[marks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
        ),
        recommend_torch_device="cpu",
    )
    # The trainer is copied by the library: the callback's lists are found again on the copy.
    model.fit(Dataset.construct(frame(corpus.histories)))
    (marks,) = [known for known in model.fit_trainer.callbacks if isinstance(known, Marks)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = []
    for _, weights in marks.kept:
        model.torch_model.load_state_dict(weights)
        found.append(ranks(model, corpus))
    np.savez(out, rank=np.array(found), seconds=[seconds for seconds, _ in marks.kept], peak_mb=peak)


if __name__ == "__main__":
    main()
