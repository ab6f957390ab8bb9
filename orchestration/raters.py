"""Simulated readers at the running API: they ask for texts and send back what they think, by the world's own truth."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from orchestration.serve_check import running_api, wait_for_versions
from orchestration.sources.simulated.raters import Question, judge, questions, truth
from serving.pointers import read_champions
from serving.settings import Settings
from training.errors import UserError
from training.result import Progress

_PATIENCE_S = 60.0


@dataclass
class Rated:
    """What readers thought of the texts they got."""

    sealed_within: float
    """Seconds after which a server that keeps running hands on what it was told."""
    ratings: Counter[int] = field(default_factory=Counter)
    edits: int = 0
    truths: list[float] = field(default_factory=list)

    def line(self) -> str:
        """One line for a person."""
        return (
            f"{len(self.truths)} texts rated: {self.ratings[1]} liked, {self.ratings[-1]} disliked, {self.edits} "
            f"edited; mean truth {np.mean(self.truths):.3f}; `tidegate run` learns from them, once the server has "
            f"handed them on (within {self.sealed_within:g} s)"
        )


def rate(
    settings: Settings, prompts: int, choices: int, max_tokens: int, seed: int, progress: Progress
) -> Rated:
    """Let readers ask `prompts` questions and rate `choices` answers to each, through the API.

    Where the server keeps no generations, prompt and response are sent with the rating. Raises UserError without a
    champion, and with the server's own words when it refuses.
    """
    champion = read_champions(settings.home).get("generator")
    if champion is None:
        raise UserError("there is no generator to rate yet: `tidegate run` trains one")
    rng, done = np.random.default_rng([seed, 0x7A]), Rated(settings.journal_seal_seconds)
    with running_api(settings) as url, httpx.Client(base_url=url, timeout=120) as client:
        wait_for_versions(client, {"generator": champion.version})
        for number, question in enumerate(questions(seed, prompts), start=1):
            body = {"prompt": question.prompt, "n": choices, "max_tokens": max_tokens, "seed": seed + number}
            body |= {"model": "generator", "temperature": 0.9, "top_p": 0.95}
            answer = _posted(client, "/v1/completions", body)
            words = [_word(question, answer, choice, settings, rng, done) for choice in answer["choices"]]
            _posted(client, "/v1/feedback", {"feedback": words})
            if number % 50 == 0:
                progress(f"{number} of {prompts} questions asked")
    return done


def _word(
    question: Question,
    answer: dict[str, Any],
    choice: dict[str, Any],
    settings: Settings,
    rng: np.random.Generator,
    done: Rated,
) -> dict[str, Any]:
    word = judge(question, choice["text"], rng)
    done.ratings[word.rating] += 1
    done.edits += word.edited_text is not None
    done.truths.append(truth(question, choice["text"]))
    said = {"request_id": answer["request_id"], "choice": choice["index"], "user_id": question.user_id}
    said |= {"rating": word.rating} | ({"edited_text": word.edited_text} if word.edited_text else {})
    return (
        said if settings.log_generations else said | {"prompt": question.prompt, "response": choice["text"]}
    )


def _posted(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        answer = client.post(path, json=body)
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
            break
        time.sleep(float(answer.headers.get("Retry-After", 1)))
    if not answer.is_success:
        raise UserError(f"{path} answered {answer.status_code}: {answer.text[:200]}")
    found: dict[str, Any] = answer.json()
    return found
