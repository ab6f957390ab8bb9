import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.generator.sampling import History, Sampling, Settings, pick

P = np.array([0.4, 0.3, 0.2, 0.06, 0.04])


def drawn(p: np.ndarray, **options: float) -> set[int]:
    """Every token that some draw gives."""
    uniform = np.linspace(0, 0.9999, 2000)
    table = np.tile(p, (len(uniform), 1))
    return set(
        pick(table, options.pop("temperature", 1.0), options.pop("top_p", 1.0), uniform, **options).tolist()
    )


def reweighed(p: np.ndarray, text: list[int], prompt: tuple[int, ...] = (), **options: object) -> np.ndarray:
    history, weights = History(Sampling(9, **options), prompt), p.copy()  # type: ignore[arg-type]
    for token in text:
        history.add(token)
    history.reweigh(weights)
    return weights / weights.sum()


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest() -> None:
    assert drawn(P, min_p=0.5) == {0, 1, 2}
    assert drawn(P, min_p=0.15) == {0, 1, 2, 3}
    assert drawn(P, min_p=1.0) == {0}
    assert drawn(P, min_p=0.0) == {0, 1, 2, 3, 4}
    assert drawn(P, min_p=0.5, temperature=0.5) == {0, 1}, "(.3 / .4) squared is .56, (.2 / .4) squared .25"


def test_the_stricter_of_top_p_and_min_p_decides() -> None:
    assert drawn(P, top_p=0.5, min_p=0.15) == {0, 1}
    assert drawn(P, top_p=0.95, min_p=0.5) == {0, 1, 2}


def test_of_equally_likely_tokens_top_p_keeps_no_more_than_it_needs() -> None:
    assert drawn(np.array([0.1, 0.2, 0.2, 0.2, 0.3]), top_p=0.6) == {1, 2, 4}
    assert drawn(np.full(10, 0.1), top_p=0.25) == {0, 1, 2}


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_each_row_is_drawn_by_its_own_settings_whoever_is_beside_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(30, 0.2), size=7)
    p[:, 5:9] = p[:, 5:6]
    temperature = rng.choice([0.0, 0.5, 1.0, 1.7], 7)
    top_p, min_p, uniform = rng.choice([0.3, 0.9, 1.0], 7), rng.choice([0.0, 0.1, 0.8], 7), rng.random(7)
    together = pick(p, temperature, top_p, uniform, min_p)
    for row in range(7):
        one = slice(row, row + 1)
        assert pick(p[one], temperature[one], top_p[one], uniform[one], min_p[one])[0] == together[row]


def test_a_repetition_penalty_multiplies_log_probabilities_of_prompt_and_text() -> None:
    got = reweighed(P, text=[0], prompt=(3,), repetition_penalty=2.0)
    expected = np.array([0.4**2, 0.3, 0.2, 0.06**2, 0.04])
    assert got == pytest.approx(expected / expected.sum())


def test_presence_counts_once_and_frequency_every_time_and_neither_looks_at_the_prompt() -> None:
    got = reweighed(P, text=[1, 1, 1, 2], prompt=(0, 4), presence_penalty=0.5, frequency_penalty=0.25)
    expected = P * np.exp([0, -0.5 - 0.75, -0.5 - 0.25, 0, 0])
    assert got == pytest.approx(expected / expected.sum())
    assert reweighed(P, text=[1], presence_penalty=-1.0)[1] > P[1], "a negative penalty favours"


def test_a_bias_is_added_to_the_logit() -> None:
    got = reweighed(P, text=[], logit_bias=((1, 1.0), (0, -100.0)))
    expected = P * [np.exp(-100.0), np.e, 1, 1, 1]
    assert got == pytest.approx(expected / expected.sum())
    assert reweighed(P, text=[], logit_bias=((4, 100.0),))[4] == pytest.approx(1.0)


def test_settings_are_columns() -> None:
    found = Settings.of([Sampling(1, temperature=0.5), Sampling(1, top_p=0.9, min_p=0.1)])
    assert found.temperature.tolist() == [0.5, 1.0]
    assert (found.top_p.tolist(), found.min_p.tolist()) == ([1.0, 0.9], [0.0, 0.1])


def test_a_number_seeds_a_text_of_its_own() -> None:
    assert Sampling(1, seed=3).seeded(2) == Sampling(1, seed=5)
    assert Sampling(1).seeded(2).seed is None
