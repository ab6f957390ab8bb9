"""Golden requests: questions that a bundle brings along with the answers it gave when it was trained.

Asked before a bundle goes into service; this also warms it. `golden.json` is a list of `{"request", "expect"}`:
- recommender: a body of POST /v1/recommendations, expecting `post_ids`, best first, over the bundle's frozen `state/`,
  asked `plain`, so that no setting of the feed has a part in the answer;
- generator: a body of POST /v1/completions with temperature 0, expecting `text`.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from serving.models import GeneratorEngine, Loaders, RecommenderEngine, Sampling
from training.bundle import Bundle, BundleError
from training.recommender.feed.messages import ContextEvent, Request

FILE = "golden.json"
STATE = "state"


def read(bundle: Bundle) -> list[dict[str, Any]]:
    """The golden requests of a bundle. Raises BundleError when there are none or they are malformed."""
    try:
        found = json.loads((bundle.path / FILE).read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{bundle.path}: {FILE} cannot be read ({error})") from error
    if not isinstance(found, list) or not found:
        raise BundleError(f"{bundle.path}: {FILE} holds no golden request")
    return found


def check(bundle: Bundle, engine: RecommenderEngine | GeneratorEngine, loaders: Loaders) -> None:
    """Ask every golden request. Raises BundleError naming the first that is answered differently."""
    if bundle.kind == "recommender":
        answers = _recommended(bundle, cast(RecommenderEngine, engine), loaders)
    else:
        answers = _generated(bundle, cast(GeneratorEngine, engine))
    for number, (expected, got) in enumerate(answers):
        if expected != got:
            raise BundleError(f"{bundle.path}: {difference(number, expected, got)}")


def reduced(answer: dict[str, Any]) -> dict[str, Any]:
    """The part of an API answer that a golden request expects."""
    if "choices" in answer:
        return {"text": answer["choices"][0]["text"]}
    return {"post_ids": [item["post_id"] for item in answer["items"]]}


def difference(number: int, expected: dict[str, Any], got: dict[str, Any]) -> str:
    """One line about a wrong answer."""
    return f"golden request {number} gave {_short(got)}, not {_short(expected)}"


def _recommended(
    bundle: Bundle, engine: RecommenderEngine, loaders: Loaders
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    ranker = engine.on(loaders.state(bundle.path / STATE))
    for entry in read(bundle):
        body = entry["request"]
        context, seen = _context(body), body.get("exclude_seen", True)
        request = Request(body["user_id"], body.get("k", 20), context, seen, plain=True)
        (ranking,) = ranker.answer([request])
        yield entry["expect"], {"post_ids": [item.post_id for item in ranking.items]}


def _context(body: dict[str, Any]) -> list[ContextEvent]:
    return [
        ContextEvent(
            event["post_id"], event["action"], datetime.fromisoformat(event["occurred_at"]).timestamp()
        )
        for event in body.get("context", [])
    ]


def _generated(bundle: Bundle, engine: GeneratorEngine) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for entry in read(bundle):
        body = entry["request"]
        sampling = Sampling(max_tokens=body["max_tokens"], temperature=0.0, seed=0)
        yield entry["expect"], {"text": "".join(engine.generate(body["prompt"], sampling).pieces)}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
