import numpy as np
import pytest

from tests.training.generator.test_mixture import mixed
from tests.training.generator.world import counted, texts
from training.generator.batch import TextBatch
from training.generator.mixture import LanguageModel
from training.generator.sample import TextGenerator
from training.generator.sampling import Sampling
from training.generator.text_row import Piece, TextRow

SETTINGS = [
    Sampling(40, seed=1),
    Sampling(25, temperature=0.7, top_p=0.9, seed=2),
    Sampling(50, temperature=1.3, min_p=0.05, seed=3),
    Sampling(30, temperature=0.0),
    Sampling(45, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.4, seed=4),
    Sampling(40, seed=5, logit_bias=((40, 3.0), (41, -100.0)), logprobs=2),
]
PROMPTS = ["", "今天", " ".join(texts(30)), "Today", "昨天我的番茄", "x"]


@pytest.fixture(scope="module", params=["ngram", "lstm", "transformer", "ensemble"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return counted(texts(200)) if request.param == "ngram" else mixed(request.param)


def run(batch: TextBatch, said: dict[TextRow, list[Piece]]) -> None:
    for row, outcome in batch.step():
        assert isinstance(outcome, Piece), outcome
        said.setdefault(row, []).append(outcome)


def joined(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_texts_that_come_and_go_say_what_each_says_alone(model: LanguageModel) -> None:
    generator, batch = TextGenerator(model), TextBatch(model)
    said: dict[TextRow, list[Piece]] = {}
    rows = []
    for prompt, sampling in zip(PROMPTS, SETTINGS, strict=True):
        rows += batch.add(generator.encode(prompt), [sampling])
        for _ in range(7):
            run(batch, said)
    while not batch.empty:
        run(batch, said)
    for row, prompt, sampling in zip(rows, PROMPTS, SETTINGS, strict=True):
        alone = list(generator.run(prompt, sampling))
        assert joined(said[row]) == joined(alone), sampling
        assert (said[row][-1].finish, said[row][-1].tokens) == (alone[-1].finish, alone[-1].tokens)


def test_choices_of_one_prompt_share_its_reading_and_nothing_else(model: LanguageModel) -> None:
    generator, batch = TextGenerator(model), TextBatch(model)
    said: dict[TextRow, list[Piece]] = {}
    rows = batch.add(generator.encode("今天"), [Sampling(20, seed=seed) for seed in (7, 8, 7)])
    assert len(batch._prompts) == 1
    while not batch.empty:
        run(batch, said)
    texts_said = [joined(said[row]) for row in rows]
    assert texts_said[0] == texts_said[2] == joined(list(generator.run("今天", Sampling(20, seed=7))))
    assert texts_said[1] == joined(list(generator.run("今天", Sampling(20, seed=8))))


def test_a_long_prompt_does_not_hold_the_others_up() -> None:
    model = mixed("lstm")
    generator, batch = TextGenerator(model), TextBatch(model)
    (short,) = batch.add(generator.encode("Today"), [Sampling(100, seed=1, logit_bias=((0, -100.0),))])
    run(batch, {})
    (long,) = batch.add(generator.encode(" ".join(texts(300))), [Sampling(5, seed=1)])
    steps_of_short = 0
    said: dict[TextRow, list[Piece]] = {}
    while long not in said:
        run(batch, said)
        steps_of_short += 1
        assert len(said[short]) == steps_of_short, "it got a token at every step"
    assert steps_of_short > 5, "the prompt was read in parts"


def test_short_prompts_do_not_wait_behind_a_long_one() -> None:
    model = mixed("lstm")
    generator, batch = TextGenerator(model), TextBatch(model)
    (long,) = batch.add(generator.encode(" ".join(texts(300))), [Sampling(5, seed=1)])
    (short,) = batch.add(generator.encode("Today"), [Sampling(5, seed=1)])
    said: dict[TextRow, list[Piece]] = {}
    for _ in range(2):
        run(batch, said)
    assert short in said
    assert long not in said


def test_a_text_that_fails_leaves_alone(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, batch = TextGenerator(model), TextBatch(model)
    asked = [(p, Sampling(24, seed=9 + n, logit_bias=((0, -100.0),))) for n, p in enumerate(PROMPTS)]
    rows = [batch.add(generator.encode(prompt), [sampling])[0] for prompt, sampling in asked]
    said: dict[TextRow, list[Piece]] = {}
    for _ in range(12):
        run(batch, said)
    poisoned = batch._rows.index(rows[1])
    text_of = model.next_token
    recent = batch._decoder._recent()[poisoned].copy()  # type: ignore[union-attr]

    def next_token(hidden: object, newest: np.ndarray) -> np.ndarray:
        if (newest == recent).all(axis=1).any():
            raise FloatingPointError("this text's numbers went wrong")
        return text_of(hidden, newest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "next_token", next_token)
    outcomes = dict(batch.step())
    assert isinstance(outcomes[rows[1]], FloatingPointError)
    monkeypatch.undo()
    for row, outcome in outcomes.items():
        if row is not rows[1]:
            assert isinstance(outcome, Piece)
            said[row].append(outcome)
    while not batch.empty:
        run(batch, said)
    for row, (prompt, sampling) in zip(rows, asked, strict=True):
        alone = joined(list(generator.run(prompt, sampling)))
        assert joined(said[row]) == alone if row is not rows[1] else len(said[row]) < 24


def test_a_dropped_text_gets_no_more_and_the_others_do_not_notice(model: LanguageModel) -> None:
    generator, batch = TextGenerator(model), TextBatch(model)
    first, second, third = (
        batch.add(generator.encode(p), [Sampling(20, seed=3)])[0] for p in ("a", "今天", PROMPTS[2])
    )
    said: dict[TextRow, list[Piece]] = {}
    run(batch, said)
    batch.drop(first)
    batch.drop(third)
    before = len(said.get(first, []))
    while not batch.empty:
        run(batch, said)
    assert len(said.get(first, [])) == before
    assert joined(said[second]) == joined(list(generator.run("今天", Sampling(20, seed=3))))


def test_log_probabilities_are_of_the_tokens_that_are_shown(model: LanguageModel) -> None:
    generator = TextGenerator(model)
    pieces = list(generator.run("今天", Sampling(30, temperature=0.0, logprobs=3)))
    chances = [chance for piece in pieces for chance in piece.chances]
    text = joined(pieces)
    assert b"".join(chance.data for chance in chances).decode() == text
    for chance in chances:
        assert chance.logprob == pytest.approx(chance.top[0][1]), "the greedy choice is the likeliest"
        assert list(chance.top) == sorted(chance.top, key=lambda entry: -entry[1])
        assert text[chance.offset :].encode().startswith(chance.data)


def test_log_probabilities_do_not_show_what_a_stop_string_hides(model: LanguageModel) -> None:
    generator = TextGenerator(model)
    whole = joined(list(generator.run("", Sampling(60, seed=3))))
    middle = len(whole) // 2
    stop = whole[middle : middle + 4]
    pieces = list(generator.run("", Sampling(60, seed=3, stop=(stop,), logprobs=0)))
    text = joined(pieces)
    chances = [chance for piece in pieces for chance in piece.chances]
    assert text == whole[: whole.index(stop)]
    assert all(chance.offset < len(text) for chance in chances)
    shown = b"".join(chance.data for chance in chances)
    assert shown.startswith(text.encode())


@pytest.mark.parametrize("prompt", ["今天我的番茄", "Today my tomatoes looked great! 7"])
def test_a_scored_prompt_has_the_probabilities_that_scoring_gives(model: LanguageModel, prompt: str) -> None:
    generator, batch = TextGenerator(model), TextBatch(model)
    ids = generator.encode(prompt)[:20]
    (row,) = batch.add(ids, [Sampling(0, prompt_logprobs=2)])
    ((same, piece),) = [outcome for _ in range(2) for outcome in batch.step()]
    assert (same, piece) == (row, Piece("", 0, "length"))
    scored = model.score([np.array(ids, np.int32)]).mixed[0][:-1]
    # Scoring leaves the special tokens their sliver of probability, generating does not.
    assert [chance.logprob for chance in row.prompt_chances] == pytest.approx(scored.tolist(), abs=0.02)
    read = model.tokenizer.decode_bytes(ids).decode()
    assert row.prompt_chances[0].offset == -len(read)
    assert b"".join(chance.data for chance in row.prompt_chances).decode() == read
