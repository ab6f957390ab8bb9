"""The best posts for a history: by scoring everything on short catalogues, by an approximate index on long ones.

    score(j) = output . vector(j) + bias(j) + gate * log(transition score of j),   gate > 0

All posts that the latest ones do not lead to have the same transition score, the floor, and no post has less. So the
best k are among those led to and the best k by `output . vector + bias`: an index over (vector, bias) and the rows of
the transitions together miss only what the index misses. Candidates are scored exactly.

The index is a graph (HNSW: Malkov and Yashunin 2020) over directions. Inner products become cosines when every vector
is filled up to the length of the longest (Bachrach et al. 2014). Posts that share a vector are one entry, with the
largest of their biases, so an entry's product bounds the scores of all its posts.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from usearch.index import Index, MetricKind

from training.bundle import BundleError
from training.files import sha256_file, write_json_atomic
from training.recommender.arrays import Ints
from training.recommender.sequential.config import RetrievalConfig
from training.recommender.sequential.files import WEIGHTS
from training.recommender.sequential.model import Scores, SequentialRecommender

INDEX, SETTINGS = "index.usearch", "index.json"


class Retriever:
    """The best posts by a model, and their scores."""

    def __init__(self, model: SequentialRecommender, config: RetrievalConfig, index: Index | None) -> None:
        self.model, self.config, self.index = model, config, index
        rows = model.net.rows[: model.net.n_items].numpy()
        self._posts = np.argsort(rows, kind="stable")
        """Posts by row of the table of vectors: row r has `_posts[_starts[r]:_starts[r + 1]]`."""
        self._starts = np.concatenate(
            [[0], np.cumsum(np.bincount(rows, minlength=len(model.net.table.weight)))]
        )

    @classmethod
    def build(cls, model: SequentialRecommender, config: RetrievalConfig, threads: int = 0) -> Self:
        """With an index when the catalogue has more than `exact_items` posts; on `threads` cores (0: all)."""
        if model.net.n_items <= config.exact_items:
            return cls(model, config, None)
        vectors = _entries(model)
        index = _empty(vectors.shape[1], config)
        index.add(np.arange(len(vectors)), vectors, threads=threads)
        return cls(model, config, index)

    def search(self, histories: Sequence[npt.NDArray[Any]], k: int) -> list[tuple[Ints, Scores]]:
        """For each history its best `k` posts outside it, best first, with their scores; fewer when there are fewer."""
        if self.index is None:
            return self.search_all(histories, k)
        output, gate = self.model.encode(histories)
        # The whole history may be among the best.
        entries = [k + len(history) for history in histories]
        query = np.pad(output.numpy(), ((0, 0), (0, 2)))
        query[:, -2] = 1.0
        found = []
        for row, history in enumerate(histories):
            near = self.index.search(query[row], entries[row], threads=1).keys.astype(np.int64)
            by_vector = np.concatenate(
                [self._posts[self._starts[r] : self._starts[r + 1]] for r in near.tolist()]
            )
            reached, score = self.model.transitions.reached(history[-self.model.length :])
            posts = np.setdiff1d(np.union1d(by_vector, reached), history)
            found.append(_best(posts, self._score(posts, output[row], gate[row], reached, score), k))
        return found

    def search_all(self, histories: Sequence[npt.NDArray[Any]], k: int) -> list[tuple[Ints, Scores]]:
        """The same by scoring the whole catalogue."""
        found = []
        for history, scores in zip(histories, self.model.score(histories), strict=True):
            scores[history] = -np.inf
            posts, best = _best(np.arange(len(scores)), scores, k)
            found.append((posts[best > -np.inf], best[best > -np.inf]))
        return found

    def _score(
        self, posts: Ints, output: torch.Tensor, gate: torch.Tensor, reached: Ints, score: Scores
    ) -> Scores:
        """[posts] as the model scores them."""
        chance = np.full(len(posts), self.model.transitions.config.floor, dtype=np.float32)
        at = np.searchsorted(posts, reached)
        inside = at < len(posts)
        inside[inside] = posts[at[inside]] == reached[inside]
        chance[at[inside]] = score[inside]
        index = torch.from_numpy(posts)
        with torch.inference_mode():
            logits = self.model.net.vectors(index) @ output + self.model.bias[index]
            return np.asarray((logits + gate * torch.from_numpy(chance).log_()).numpy())

    def save(self, folder: Path) -> None:
        """Write the index beside the model's files, with the hashes of both. Raises OSError."""
        settings: dict[str, Any] = {
            "config": self.config.model_dump(),
            "weights": sha256_file(folder / WEIGHTS),
        }
        if self.index is not None:
            self.index.save(str(folder / INDEX))
            settings["index"] = sha256_file(folder / INDEX)
        write_json_atomic(folder / SETTINGS, settings)

    @classmethod
    def load(cls, model: SequentialRecommender, folder: Path) -> Self:
        """What `save` wrote. Raises BundleError when it is incomplete, altered, or of other weights."""
        try:
            settings = json.loads((folder / SETTINGS).read_text())
            config = RetrievalConfig.model_validate(settings["config"])
            if settings["weights"] != sha256_file(folder / WEIGHTS):
                raise BundleError(f"{folder}: the index is of other weights")
            if "index" not in settings:
                return cls(model, config, None)
            if settings["index"] != sha256_file(folder / INDEX):
                raise BundleError(f"{folder}: {INDEX} differs from its hash")
            index = _empty(model.net.width + 2, config)
            index.load(str(folder / INDEX))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise BundleError(f"{folder} holds no index ({error})") from error
        return cls(model, config, index)


def _empty(width: int, config: RetrievalConfig) -> Index:
    return Index(
        ndim=width,
        metric=MetricKind.Cos,
        dtype="f32",
        connectivity=config.connectivity,
        expansion_add=config.expansion_add,
        expansion_search=config.expansion_search,
    )


def _entries(model: SequentialRecommender) -> Scores:
    """[rows of the table, width + 2]: vector, largest bias, and what fills it up to the longest."""
    rows, table = model.net.rows[: model.net.n_items], model.net.table.weight.detach()
    bias = torch.full((len(table),), float("-inf")).scatter_reduce(0, rows, model.bias, "amax")
    # Rows of no post: the padding's, and what no hash hit. They are found last, and hold no post.
    bias[bias == float("-inf")] = bias[bias > float("-inf")].min()
    # A constant changes no order, and short vectors need less to fill them up.
    product = torch.cat([table, (bias - bias.mean())[:, None]], dim=1)
    size = product.square().sum(dim=1)
    filled = torch.cat([product, (size.max() - size).clamp(min=0.0).sqrt()[:, None]], dim=1)
    return np.asarray(filled.numpy())


def _best(posts: Ints, scores: Scores, k: int) -> tuple[Ints, Scores]:
    """The `k` best, best first; of equals the one with the smaller number."""
    top = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
    order = top[np.lexsort((posts[top], -scores[top]))]
    return posts[order], scores[order]
