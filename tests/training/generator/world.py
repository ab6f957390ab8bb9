"""A small bilingual corpus, tiny configurations, and models that take no time to fit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from training.generator.config import GeneratorConfig, TokenizerConfig
from training.generator.mixture import LanguageModel
from training.generator.networks import Network
from training.generator.ngram import NgramModel
from training.generator.tokenizer import Tokenizer

START = datetime(2026, 1, 1, tzinfo=UTC)
_ENGLISH = (
    ("Today", "Yesterday", "This week", "Honestly"),
    ("my tomatoes", "the old bridge", "our small team", "that long film", "the night train"),
    ("looked", "felt", "seemed", "was"),
    ("great", "slow", "strange", "very quiet", "too loud", "worth it"),
    ("!", ".", " 😀", " #weekend", "..."),
)
_CHINESE = (
    ("今天", "昨天", "这周", "说实话"),
    ("我的番茄", "那座老桥", "我们的小队", "那部长电影", "夜班火车"),
    ("看起来", "感觉", "好像", "真的"),
    ("很好", "有点慢", "奇怪", "特别安静", "太吵了", "值得"),
    ("！", "。", "😀", "#周末#", "……"),
)


def texts(n: int, seed: int = 1) -> list[str]:
    """English and Chinese sentences, two in three a text, each with a number of its own."""
    rng = np.random.default_rng(seed)

    def sentence(parts: tuple[tuple[str, ...], ...], gap: str) -> str:
        words = [part[rng.integers(len(part))] for part in parts]
        return gap.join(words[:-1]) + words[-1]

    out = []
    for number in range(n):
        parts, gap = ((_ENGLISH, " "), (_CHINESE, ""))[number % 2]
        said = gap.join(sentence(parts, gap) for _ in range(rng.integers(2, 4)))
        out.append(f"{said} {rng.integers(10, 10_000)}")
    return out


def documents(n: int = 600, said: list[str] | None = None) -> pa.Table:
    """A corpus table, a document an hour."""
    said = said or texts(n)
    return pa.table(
        {
            "document_id": [f"d{i:05d}" for i in range(len(said))],
            "text": said,
            "lang": [("en", "zh")[i % 2] for i in range(len(said))],
            "community": [("garden", "travel", None)[i % 3] for i in range(len(said))],
            "author_id": [f"a{i % 23}" for i in range(len(said))],
            "created_at": pa.array(
                [START + timedelta(hours=i) for i in range(len(said))], pa.timestamp("us", tz="UTC")
            ),
        }
    )


def tiny() -> GeneratorConfig:
    """Everything small, ended by steps: the outcome depends on the seed alone."""
    config = GeneratorConfig()
    config.corpus.min_heldout_documents = 20
    config.lstm.width, config.lstm.embedding, config.lstm.max_steps = 24, 16, 40
    config.transformer.width, config.transformer.heads, config.transformer.layers = 16, 2, 1
    config.transformer.feed_forward, config.transformer.row_tokens, config.transformer.max_steps = 32, 24, 40
    config.lstm.max_seconds = config.transformer.max_seconds = 3600.0
    config.fit.evaluations, config.fit.evaluation_documents, config.fit.threads = 2, 20, 1
    config.evaluation.bootstrap, config.evaluation.min_slice_documents = 100, 5
    config.safety.canaries, config.safety.samples, config.safety.sample_tokens = 4, 24, 16
    config.safety.exposure_candidates, config.safety.extraction_samples = 63, 2
    return config


def sizes(name: str) -> dict[str, Any]:
    """What `build_network` wants for a tiny network of that name."""
    members = {"lstm": tiny().lstm.model_dump(), "transformer": tiny().transformer.model_dump()}
    return members if name == "ensemble" else members[name]


def outspoken(network: Network) -> Network:
    """What a fresh network begins with at zero made random, so that it says something."""
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def tokenizer(said: list[str]) -> Tokenizer:
    return Tokenizer.fit(said, sum(len(text.encode()) for text in said), TokenizerConfig())


def counted(
    said: list[str], authors: list[str] | None = None, min_authors: int = 1, order: int = 4
) -> LanguageModel:
    """The n-gram model of `said`, by default one that may recite."""
    known = tokenizer(said)
    names = authors or [f"a{i}" for i in range(len(said))]
    ngram = NgramModel.fit(known.encode_all(said), names, known.size, order, min_authors)
    return LanguageModel(known, ngram)
