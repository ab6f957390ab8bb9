"""The stages between a model's scores and the answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.recommender.worlds import DAY, HOUR, START, Event, state_of, tables
from training.recommender.feed.exploration import explore
from training.recommender.feed.selection import best_first, diversify, leading
from training.recommender.feed.settings import PLAIN, FeedSettings, seed_of
from training.recommender.models.popularity import Popularity
from training.recommender.served import ServedRecommender
from training.recommender.state import FeedState

POSTS = [
    {"post_id": f"{lang}{n}", "at": n * HOUR, "author": f"by{n % 4}", "lang": lang, "community": f"c{n % 2}"}
    for n in range(8)
    for lang in ("en", "zh-Hant", "und")
]
for row in POSTS:
    row["lang"] = None if row["lang"] == "und" else row["lang"]


def state(events: list[Event], stated: dict[str, str] | None = None) -> FeedState:
    made = state_of(tables([(10 * HOUR, "else", "en0", "like"), *events], POSTS))
    made.stated_language = stated or {}
    return made


def shown(made: FeedState, user: str, k: int = 100, **changes: object) -> set[str]:
    chosen = PLAIN.model_copy(update=changes)
    served = ServedRecommender(Popularity(24.0, 1.0), chosen)
    return {item.post_id for item in served.recommend(made, user, k).items}


def authors(posts: set[str]) -> set[str]:
    return {str(row["author"]) for row in POSTS if row["post_id"] in posts}


@pytest.mark.parametrize(
    ("events", "left_out"),
    [
        ([(1.0, "ann", "en1", "hide")], set()),
        ([(1.0, "ann", "en1", "hide"), (2.0, "ann", "en1", "hide")], set()),
        ([(1.0, "ann", "en1", "hide"), (2.0, "ann", "en5", "hide")], {"by1"}),
        ([(1.0, "ann", "en1", "report")], {"by1"}),
        ([(1.0, "ann", "en1", "hide"), (2.0, "ann", "en2", "hide")], set()),
        ([(1.0, "bob", "en1", "report")], set()),
    ],
)
def test_an_author_is_left_out_after_two_posts_hidden_or_one_reported(
    events: list[Event], left_out: set[str]
) -> None:
    everyone = {"by0", "by1", "by2", "by3"}
    assert authors(shown(state(events), "ann", author_dislike=2.0)) == everyone - left_out
    assert authors(shown(state(events), "ann")) == everyone, "switched off"


def test_posts_of_unknown_authors_are_not_one_author() -> None:
    made = state_of(
        tables(
            [(1.0, "ann", "p0", "report"), (2.0, "bob", "p1", "like")], [{"post_id": "p0"}, {"post_id": "p1"}]
        )
    )
    assert shown(made, "ann", author_dislike=2.0) == {"p1"}


def languages(posts: set[str]) -> set[str]:
    return {post.rstrip("01234567") for post in posts}


def test_only_languages_that_the_user_reads_are_shown_and_those_that_nobody_knows() -> None:
    everything = {"en", "zh-Hant", "und"}
    likes = [(float(n), "ann", f"en{n}", "like") for n in range(5)]
    assert languages(shown(state(likes), "ann", language_events=5)) == {"en", "und"}
    assert languages(shown(state(likes[:4]), "ann", language_events=5)) == everything, "too few to say"
    assert languages(shown(state(likes), "ann")) == everything, "switched off"
    assert languages(shown(state([], {"ann": "zh"}), "ann", language_events=5)) == {"zh-Hant", "und"}
    both = state(likes, {"ann": "zh"})
    assert languages(shown(both, "ann", language_events=5)) == everything, "stated, and read as well"
    assert languages(shown(state([]), "stranger", language_events=5)) == everything


def test_a_filter_of_taste_steps_aside_where_it_would_leave_nothing() -> None:
    posts = [{"post_id": f"p{n}", "lang": "en"} for n in range(3)]
    made = state_of(tables([(10 * DAY, "bob", "p0", "like")], posts))
    made.stated_language = {"ann": "fr"}
    assert shown(made, "ann", language_events=5, max_age_days=1.0) == {"p0", "p1", "p2"}


def test_posts_above_the_age_limit_are_left_out() -> None:
    assert shown(state([]), "ann", max_age_days=0.25) == {
        f"{lang}{n}" for lang in ("en", "zh-Hant", "und") for n in range(4, 8)
    }


def test_a_deleted_post_is_gone_whatever_the_clock_says() -> None:
    made = state([])
    made.deleted[made.item_of("en3")] = START + 365 * DAY
    assert "en3" not in shown(made, "ann")
    assert "en4" in shown(made, "ann")


def test_ties_stand_in_the_order_of_their_names() -> None:
    scores = np.array([1.0, 2.0, 1.0, 2.0, 0.0], dtype=np.float32)
    order = best_first(scores, np.arange(5), ["d", "b", "c", "a", "e"], 4)
    assert order.tolist() == [3, 1, 2, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 1200), st.integers(1, 40), st.integers(1, 1000))
@settings(max_examples=100, deadline=None)
def test_the_leading_candidates_are_those_that_sorting_finds(seed, size, n, distinct):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, distinct, 2 * size).astype(np.float32)
    scores[rng.random(2 * size) < 0.1] = -np.inf
    candidates = np.sort(rng.choice(2 * size, size, replace=False))
    found = leading(scores, candidates, n)
    assert len(set(found.tolist())) == len(found) == min(n, size)
    assert set(found.tolist()) <= set(candidates.tolist())
    assert np.sort(scores[found]).tolist() == np.sort(scores[candidates])[-n:].tolist()


codes = st.lists(st.integers(0, 3), min_size=1, max_size=30).map(lambda row: np.array(row, dtype=np.int32))


@given(codes, st.data(), st.integers(1, 12), st.integers(0, 4), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_diverse_lists_keep_their_windows_as_long_as_candidates_are_left(author, data, k, gap, run):
    topic = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(author), max_size=len(author))))
    places = diversify(author, topic, k, gap, run)
    assert len(places) == len(set(places.tolist())) == min(k, len(author))
    for at, place in enumerate(places.tolist()):
        left = [p for p in range(len(author)) if p not in places[:at]]
        recent = set(author[places[max(0, at - gap + 1) : at]].tolist()) - {0} if gap > 1 else set()
        tail = topic[places[max(0, at - run) : at]].tolist()
        tired = tail[0] if run and len(tail) == run and tail[0] and len(set(tail)) == 1 else -1
        fits = [p for p in left if author[p] not in recent]
        best = [p for p in fits if topic[p] != tired] or fits or left
        assert place == best[0]


def test_each_posts_propensity_is_how_often_it_is_shown_at_its_place() -> None:
    """20,000 answers: frequencies within five standard errors of what the answers state."""
    chosen, below, answers = np.arange(4), np.arange(4, 4 + 9), 20_000
    count: dict[tuple[int, int], int] = {}
    stated: dict[tuple[int, int], float] = {}
    for seed in range(answers):
        slate = explore(chosen, below, 0.2, 3, seed)
        assert len(set(slate.items.tolist())) == 4
        for place, (item, propensity) in enumerate(zip(slate.items.tolist(), slate.propensity, strict=True)):
            count[item, place] = count.get((item, place), 0) + 1
            assert stated.setdefault((item, place), propensity) == propensity
    assert {item for item, _ in count} == set(range(13)), "every candidate has a chance, at one place"
    assert len(count) == 13
    for place in range(4):
        assert sum(p for (_, at), p in stated.items() if at == place) == pytest.approx(1.0)
    for key, propensity in stated.items():
        error = np.sqrt(propensity * (1 - propensity) / answers)
        assert abs(count[key] / answers - propensity) < 5 * error, key


def test_inverse_propensities_estimate_what_another_feed_would_have_earned() -> None:
    """Horvitz-Thompson on logged answers: the value of always showing post 6 at place 0 without ever doing so."""
    value = {item: item / 10 for item in range(10)}
    rng = np.random.default_rng(3)
    total = 0.0
    for seed in range(30_000):
        slate = explore(np.arange(2), np.arange(2, 10), 0.5, 4, seed)
        item, propensity = int(slate.items[0]), float(slate.propensity[0])
        clicked = rng.random() < value[item]
        total += clicked / propensity if item == 6 else 0.0
    assert total / 30_000 == pytest.approx(0.6, abs=0.05)


def test_places_without_a_pool_explore_nothing() -> None:
    slate = explore(np.arange(4), np.array([9]), 0.5, 10, 1)
    assert slate.propensity[1:].tolist() == [1.0, 1.0, 1.0]
    assert not slate.explored[1:].any()
    assert explore(np.arange(4), np.arange(4, 9), 0.0, 10, 1).propensity.tolist() == [1.0] * 4
    assert len(explore(np.arange(0), np.arange(0), 0.5, 10, 1).items) == 0


def test_an_answer_is_the_same_for_the_same_seed_and_explored_posts_say_so() -> None:
    chosen = FeedSettings(explore=0.5)
    served, made = ServedRecommender(Popularity(24.0, 1.0), chosen), state([(1.0, "ann", "en1", "like")])

    def ask(seed: int) -> list[tuple[str, float, bool, tuple[str, ...]]]:
        found = served.recommend(made, "ann", 5, seed=seed).items
        return [(item.post_id, item.propensity, item.explored, tuple(item.reasons)) for item in found]

    assert ask(1) == ask(1)
    answers = [ask(seed) for seed in range(20)]
    assert len({tuple(answer) for answer in answers}) > 1
    for answer in answers:
        for _, propensity, explored, reasons in answer:
            assert (reasons == ("exploration",)) == explored
            assert propensity == 0.5 if not explored else propensity < 0.5
    assert not any(item.explored for item in served.recommend(made, "ann", 5, plain=True, seed=1).items)


def test_seeds_differ_between_users_and_requests() -> None:
    assert len({seed_of("r", "ann"), seed_of("r", "bob"), seed_of("s", "ann"), seed_of("ra", "nn")}) == 4
