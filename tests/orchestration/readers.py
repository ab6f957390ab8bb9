"""Readers of what a champion writes, without a server: the journals that the API would have left, and the truth."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np

from orchestration.sources.simulated.raters import Question, judge, questions, truth
from serving.settings import Settings
from training.generator.mixture import LanguageModel
from training.generator.sample import sample_texts

TOKENS = 24


def said(model: LanguageModel, question: Question, count: int, seed: int) -> list[str]:
    return sample_texts(
        model, question.prompt, count, max_tokens=TOKENS, temperature=0.9, top_p=0.95, seed=[seed, 0x5A]
    )


def leave_journals(settings: Settings, model: LanguageModel, prompts: int, choices: int) -> int:
    """Sealed journals of as many questions, a minute apart, the last one now; returns the number of ratings.

    Ratings name request and choice alone.
    """
    rng, start = np.random.default_rng(4), datetime.now(UTC) - timedelta(minutes=prompts)
    generated, rated = [], []
    for number, question in enumerate(questions(21, prompts)):
        at = (start + timedelta(minutes=number)).isoformat()
        for choice, text in enumerate(said(model, question, choices, number)):
            named = {"request_id": f"asked{number}", "choice": choice, "occurred_at": at}
            generated.append(named | {"prompt": question.prompt, "response": text, "finish_reason": "length"})
            word = judge(question, text, rng)
            edit = {"edited_text": word.edited_text} if word.edited_text else {}
            rated.append(named | {"user_id": question.user_id, "rating": word.rating} | edit)
    for stream, rows in (("generations", generated), ("feedback", rated)):
        folder = settings.incoming_dir / "api" / stream
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / "20260101T000000Z-readers.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return len(rated)


def truths(model: LanguageModel, prompts: int, choices: int) -> np.ndarray:
    """Mean truth of the answers to each of so many new questions, float64 [prompts]."""
    asked = questions(22, prompts)
    return np.array(
        [
            np.mean([truth(question, text) for text in said(model, question, choices, number)])
            for number, question in enumerate(asked)
        ]
    )
