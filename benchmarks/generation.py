"""Texts as a service: our server against `transformers.generate` behind a plain FastAPI handler, in one run.

    python -m benchmarks.generation FILE --clients 1,8 --requests 4 --tokens 48 --out DIR

FILE is a text from which tokenizer and n-grams are learned. Ours is a candidate of default sizes on top of its n-grams;
the peer is a Llama of the transformer candidate's width, layers, heads, vocabulary and parameters in its blocks.
Weights are random: speed does not depend on them. Both have one thread, get the same prompts and settings (temperature
.8, top-p .95) and make the same number of tokens a request, streamed. They are measured in turn. Processor time is what
the server process used, so it holds on a machine that other work shares.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from serving.child import serving_child
from serving.probe import publish

_PROMPTS = ("Today", "The old bridge", "我们今天", "What do you think of the night train?")


@dataclass(frozen=True)
class Row:
    """One server at one number of clients."""

    server: str
    clients: int
    tokens: int
    tokens_per_second: float
    first_p50_ms: float
    first_p99_ms: float
    processor_ms_per_token: float


def prepare(text: str, ours: Path, peer: Path, architecture: str) -> None:
    """Write a bundle of default sizes at `ours`, and what the peer needs at `peer`."""
    import torch

    from training.generator.canaries import Canary
    from training.generator.config import GeneratorConfig, TokenizerConfig
    from training.generator.export import ENSEMBLE, build_network, export
    from training.generator.mixture import LanguageModel
    from training.generator.ngram import NgramModel
    from training.generator.product import PriorWeight
    from training.generator.tokenizer import Tokenizer

    documents = [part for part in text.split("\n\n") if part.strip()]
    tokenizer = Tokenizer.fit(documents, len(text.encode()), TokenizerConfig())
    authors = [str(number % 50) for number in range(len(documents))]
    ngram = NgramModel.fit(tokenizer.encode_all(documents), authors, tokenizer.size, 4, 1)
    config = GeneratorConfig()
    members = {"lstm": config.lstm.model_dump(), "transformer": config.transformer.model_dump()}
    sizes = members if architecture == ENSEMBLE else members[architecture]
    torch.manual_seed(0)
    network = build_network(architecture, tokenizer.size, sizes)
    assert network is not None
    model = LanguageModel(tokenizer, ngram, network, PriorWeight(network.width, ngram.order - 1))
    now = datetime.now(UTC)
    bundle = export(ours / "bundle", architecture, model, sizes, [Canary("{}", "0", "en", 1)], now, {})
    publish(ours, bundle)
    tokenizer.save(peer)
    llama = {
        "vocab_size": tokenizer.size,
        "hidden_size": config.transformer.width,
        # Its feed-forward layer has three matrices where ours has two.
        "intermediate_size": config.transformer.feed_forward * 2 // 3,
        "num_hidden_layers": config.transformer.layers,
        "num_attention_heads": config.transformer.heads,
        "num_key_value_heads": config.transformer.heads,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "eos_token_id": None,
        "bos_token_id": None,
    }
    (peer / "peer.json").write_text(json.dumps(llama))


def processor_seconds(port: int) -> float:
    """Of the process that listens on `port`, so far."""
    import psutil

    for connection in psutil.net_connections("tcp4"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            times = psutil.Process(connection.pid).cpu_times()
            return float(times.user + times.system)
    raise RuntimeError(f"nothing listens on port {port}")


async def _client(http: httpx.AsyncClient, requests: int, tokens: int, first: list[float]) -> None:
    for number in range(requests):
        body: dict[str, Any] = {
            "model": "generator",
            "prompt": _PROMPTS[number % len(_PROMPTS)],
            "stream": True,
        }
        # Our model's end token is biased away, so that both servers make as many tokens.
        body |= {"max_tokens": tokens, "temperature": 0.8, "top_p": 0.95, "logit_bias": {"0": -100}}
        began, seen = time.monotonic(), False
        async with http.stream("POST", "/v1/completions", json=body) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line and not seen:
                    first.append(time.monotonic() - began)
                    seen = True


async def _load(url: str, clients: int, requests: int, tokens: int) -> tuple[float, list[float]]:
    first: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        began = time.monotonic()
        await asyncio.gather(*(_client(http, requests, tokens, first) for _ in range(clients)))
        return time.monotonic() - began, first


def measure(server: str, url: str, clients: int, requests: int, tokens: int) -> Row:
    """Ask `url` from `clients` at once, `requests` each."""
    port = httpx.URL(url).port or 80
    used = processor_seconds(port)
    seconds, first = asyncio.run(_load(url, clients, requests, tokens))
    used, made = processor_seconds(port) - used, clients * requests * tokens
    p50, p99 = (float(np.quantile(first, share)) * 1000 for share in (0.5, 0.99))
    return Row(server, clients, made, made / seconds, p50, p99, used * 1000 / made)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def run(
    text: str, clients: list[int], requests: int, tokens: int, rounds: int, architecture: str
) -> list[Row]:
    """Both servers in turn, `rounds` times; the medians."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        ours, peer = Path(folder) / "ours", Path(folder) / "peer"
        for home in (ours, peer):
            home.mkdir()
        prepare(text, ours, peer, architecture)
        with (
            serving_child(ours, "serving.main", _ready) as here,
            serving_child(peer, "benchmarks.generation_peer", _ready) as there,
        ):
            urls = {"tidegate": str(here.base_url), "transformers.generate": str(there.base_url)}
            for url in urls.values():
                asyncio.run(_load(url, 1, 1, 8))
            found: dict[tuple[str, int], list[Row]] = {}
            for _ in range(rounds):
                for count in clients:
                    for name, url in urls.items():
                        row = measure(name, url, count, requests, tokens)
                        found.setdefault((name, count), []).append(row)
    return [_median(rows) for rows in found.values()]


def _median(rows: list[Row]) -> Row:
    def middle(of: Callable[[Row], float]) -> float:
        return float(np.median([of(row) for row in rows]))

    return Row(
        rows[0].server,
        rows[0].clients,
        sum(row.tokens for row in rows),
        middle(lambda row: row.tokens_per_second),
        middle(lambda row: row.first_p50_ms),
        middle(lambda row: row.first_p99_ms),
        middle(lambda row: row.processor_ms_per_token),
    )


def table(rows: list[Row]) -> str:
    """Markdown, with the ratios to the peer at the same number of clients."""
    peer = {row.clients: row for row in rows if row.server != "tidegate"}
    lines = [
        "| server | clients | tokens/s | ratio | first token p50 ms | p99 ms | processor ms a token | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        other = peer[row.clients]
        lines.append(
            f"| {row.server} | {row.clients} | {row.tokens_per_second:.0f} "
            f"| {row.tokens_per_second / other.tokens_per_second:.2f} | {row.first_p50_ms:.0f} "
            f"| {row.first_p99_ms:.0f} | {row.processor_ms_per_token:.2f} "
            f"| {row.processor_ms_per_token / other.processor_ms_per_token:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Text generation: ours against transformers behind FastAPI.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--clients", default="1,8", type=lambda v: [int(part) for part in v.split(",")])
    parser.add_argument("--requests", default=4, type=int, help="by each client in each round")
    parser.add_argument("--tokens", default=48, type=int, help="of each request")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--architecture", default="transformer", choices=("transformer", "lstm", "ensemble"))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    text = asked.file.read_text("utf-8")
    rows = run(text, asked.clients, asked.requests, asked.tokens, asked.rounds, asked.architecture)
    print(table(rows))
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "results.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        (asked.out / "results.md").write_text(table(rows) + "\n")


if __name__ == "__main__":
    main()
