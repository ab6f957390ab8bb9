import numpy as np
import pytest

from tests.training.generator.test_mixture import mixed
from tests.training.generator.world import counted, texts
from training.generator.decoder import Decoder, prompt_limit
from training.generator.mixture import LanguageModel
from training.generator.sampling import pick

PROMPTS = ["", "今天", "Today my tomatoes", "那座老桥感觉很好。" * 3, " ".join(texts(40)), "今天"]
STEPS = 60
"""More than twice the transformer's context, so that every row reads again, and not all at the same step."""


@pytest.fixture(scope="module", params=["ngram", "lstm", "transformer", "ensemble"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return counted(texts(200)) if request.param == "ngram" else mixed(request.param)


@pytest.fixture(scope="module")
def prompts(model: LanguageModel) -> list[list[int]]:
    return [model.tokenizer.encode(prompt) for prompt in PROMPTS]


def likely(p: np.ndarray, row: int, step: int) -> int:
    """A token that has some probability; each row and step another."""
    return int(np.argsort(-p)[(3 * row + step) % 5])


@pytest.fixture(scope="module")
def alone(model: LanguageModel, prompts: list[list[int]]) -> list[np.ndarray]:
    """Probabilities [steps, vocabulary] of each prompt's row in a decoder of its own."""
    found = []
    for row, prompt in enumerate(prompts):
        decoder, steps = Decoder(model, [prompt]), []
        for step in range(STEPS):
            steps.append(decoder.probabilities()[0])
            decoder.push(np.array([likely(steps[-1], row, step)]))
        found.append(np.stack(steps))
    return found


def agree(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=1e-5)


def advance(decoder: Decoder, rows: list[int], at: list[int], alone: list[np.ndarray]) -> None:
    """One step: what each row is given must be what it is given alone."""
    p = decoder.probabilities()
    assert decoder.rows == len(rows) == len(p)
    for place, (row, step) in enumerate(zip(rows, at, strict=True)):
        agree(p[place], alone[row][step])
    decoder.push(np.array([likely(alone[row][step], row, step) for row, step in zip(rows, at, strict=True)]))


def test_prompts_of_different_length_go_on_as_each_would_alone(
    model: LanguageModel, prompts: list[list[int]], alone: list[np.ndarray]
) -> None:
    decoder, rows = Decoder(model, prompts), list(range(len(prompts)))
    for step in range(STEPS):
        advance(decoder, rows, [step] * len(rows), alone)


def test_rows_join_and_leave_a_running_batch_and_nobody_notices(
    model: LanguageModel, prompts: list[list[int]], alone: list[np.ndarray]
) -> None:
    rng = np.random.default_rng(4)
    waiting = list(range(len(prompts)))
    rows, at = [waiting.pop()], [0]
    decoder = Decoder(model, [prompts[rows[0]]])
    most = 1
    while rows:
        advance(decoder, rows, at, alone)
        at = [step + 1 for step in at]
        keep = [i for i, step in enumerate(at) if step < STEPS and (len(rows) == 1 or rng.random() > 0.02)]
        if keep and len(keep) < len(rows):
            decoder = decoder.take(keep)
        rows, at = [rows[i] for i in keep], [at[i] for i in keep]
        if rows and waiting and rng.random() < 0.3:
            decoder = decoder.join(Decoder(model, [prompts[waiting[-1]]]))
            rows, at = [*rows, waiting.pop()], [*at, 0]
            most = max(most, len(rows))
    assert not waiting
    assert most > 3


def test_a_row_taken_twice_goes_two_ways_and_leaves_the_first_as_it_was(
    model: LanguageModel, prompts: list[list[int]], alone: list[np.ndarray]
) -> None:
    first = Decoder(model, [prompts[1]])
    both = first.take([0, 0])
    both.push(np.array([5, 6]))
    agree(both.probabilities()[0], _after(model, prompts[1], 5))
    agree(both.probabilities()[1], _after(model, prompts[1], 6))
    agree(first.probabilities()[0], alone[1][0])


def _after(model: LanguageModel, prompt: list[int], token: int) -> np.ndarray:
    decoder = Decoder(model, [prompt])
    decoder.push(np.array([token]))
    return decoder.probabilities()[0]


def test_a_prompt_read_in_parts_is_the_prompt_read_at_once(
    model: LanguageModel, prompts: list[list[int]], alone: list[np.ndarray]
) -> None:
    prompt = prompts[4][-prompt_limit(model) :]
    decoder = Decoder(model, [[]])
    for begin in range(0, len(prompt), 7):
        decoder.read(np.array([prompt[begin : begin + 7]]))
    agree(decoder.probabilities()[0], alone[4][0])


def test_what_a_row_says_does_not_depend_on_the_rows_beside_it(
    model: LanguageModel, prompts: list[list[int]]
) -> None:
    ready = [Decoder(model, [prompt]) for prompt in prompts]
    crowd = ready[0]
    for other in ready[1:]:
        crowd = crowd.join(other)
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        uniform = rng.random(len(ready))
        p = crowd.probabilities()
        single = np.stack([decoder.probabilities()[0] for decoder in ready])
        tokens = pick(p, 0.9, 0.95, uniform)
        assert tokens.tolist() == pick(single, 0.9, 0.95, uniform).tolist()
        agree(p, single)
        crowd.push(tokens)
        for decoder, token in zip(ready, tokens, strict=True):
            decoder.push(np.array([token]))
