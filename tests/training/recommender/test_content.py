"""What a post says is enough: nobody has seen it, and the user has done one thing."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.training.recommender.worlds import DAY, HOUR, state_of, tables, view_of
from training.recommender.export import read_state, write_state
from training.recommender.models.base import Events, Parts, removed
from training.recommender.models.content import ContentSignal
from training.recommender.models.lifted import Lifted
from training.recommender.models.popularity import Popularity
from training.recommender.models.text_space import fit_text_space
from training.recommender.served import ServedRecommender
from training.recommender.terms import hashed_terms
from training.recommender.view import FeedView

TRAINED = [
    "the quantum gate acts on a qubit and an ancilla",
    "measure the qubit after the quantum circuit",
    "bake the bread with flour and salt",
    "flour and water make the dough for bread",
    "量子比特与量子门的线路",
    "测量量子比特的状态",
    "面包需要面粉和盐",
    "面粉加水揉成面团做面包",
]
LIKED = {
    "en": "which quantum gate flips a qubit",
    "zh": "怎样测量量子比特",
    "new": "zyxin kinase assay",
    "新": "羽毛球拍",
}
ALIKE = {
    "en": "a circuit for one qubit",
    "zh": "量子门改变比特",
    "new": "another zyxin assay",
    "新": "旧羽毛球",
}
OTHER = {"en": "salt in the dough", "zh": "用盐做面团", "new": "salt in the dough", "新": "用盐做面团"}


@pytest.fixture(scope="module")
def signal():
    return ContentSignal(fit_text_space(hashed_terms(TRAINED), 64, seed=1), text_share=0.5, recency=0.9)


def feed(liked: dict, *others: dict):
    """One event, on the post `liked`; all posts are equally old and the others are seen by nobody."""
    posts = [{"post_id": "liked", **liked}] + [{"post_id": f"p{n}", **post} for n, post in enumerate(others)]
    return tables([(HOUR, "reader", "liked", "like")], posts)


@pytest.mark.parametrize("key", list(LIKED))
def test_an_unseen_post_with_words_of_the_only_event_stands_above_one_without(signal, key):
    """Words of the training data, in English and in Chinese, and words that came up since."""
    made = feed({"text": LIKED[key]}, {"text": OTHER[key]}, {"text": ALIKE[key]})
    served = ServedRecommender(Lifted(Popularity(24.0, 1.0), signal, 1.0, 0.1))
    found = served.recommend(state_of(made), "reader", 2).items
    assert [item.post_id for item in found] == ["p1", "p0"]
    assert found[0].reasons == ["content:liked"]
    assert found[0].score > found[1].score + 0.1


@pytest.mark.parametrize(
    "label", [{"topics": ["gates"]}, {"author": "ann"}, {"community": "physics"}, {"lang": "zh"}]
)
def test_an_unseen_post_with_a_label_of_the_only_event_stands_above_one_without(signal, label):
    made = feed(label, {"topics": ["bread"], "author": "bo"}, {"topics": ["salt"], **label})
    view = view_of(made)
    value = signal.value(view, view.users(["reader"]))[0]
    assert value[view.state.item_of("p1")] > value[view.state.item_of("p0")] == 0.0


def test_a_rare_label_says_more_than_a_common_one(signal):
    crowd = [{"topics": ["news"]} for _ in range(20)]
    made = feed({"topics": ["news", "gates"]}, {"topics": ["news"]}, {"topics": ["gates"]}, *crowd)
    view = view_of(made)
    value = signal.value(view, view.users(["reader"]))[0]
    assert value[view.state.item_of("p1")] > 2 * value[view.state.item_of("p0")] > 0


def test_a_post_met_by_an_event_before_its_text_gets_its_vector_when_the_text_comes(signal):
    made = feed({"text": LIKED["en"]}, {"text": ALIKE["en"]}, {"text": OTHER["en"]})
    state = type(state_of(made))()
    state.observe("reader", "liked", "like", 1e9)
    state.observe("other", "p0", "like", 1e9)
    state.observe("other", "p1", "like", 1e9)
    before = FeedView.of(state)
    assert not signal.value(before, before.users(["reader"])).any()
    described = state_of(made)
    for code, name in enumerate(described.items.names):
        state.terms[state.items.get(name)] = described.terms[code]
    after = FeedView.of(state)
    value = signal.value(after, after.users(["reader"]))[0]
    known = view_of(made)
    expected = signal.value(known, known.users(["reader"]))[0]
    for name in ("p0", "p1"):
        assert value[state.item_of(name)] == pytest.approx(expected[known.state.item_of(name)], abs=1e-6)
    assert value[state.item_of("p0")] > 1.5 * value[state.item_of("p1")]


def test_taking_an_event_off_is_scoring_without_it_and_parts_give_the_same_signal_again(signal):
    posts = [{"post_id": f"p{n}", "text": text, "topics": [f"t{n % 3}"]} for n, text in enumerate(TRAINED)]
    view = view_of(tables([(HOUR * n, "u", f"p{n}", "like") for n in range(1, 5)], posts))
    users, columns = view.users(["u"]), np.array([0, 6, 7])
    slots = np.flatnonzero(users.item[0] >= 0)
    less = signal.without(view, users, columns, Events(0 * slots, slots))
    again = ContentSignal.from_parts(signal.parts())
    for place, slot in enumerate(slots):
        other = removed(users, Events(np.array([0]), np.array([slot])))
        np.testing.assert_allclose(less[place], again.value(view, other, columns)[0], atol=1e-6)


def test_parts_survive_the_disk(signal, tmp_path):
    signal.parts().write(tmp_path)
    again = ContentSignal.from_parts(Parts.read(tmp_path))
    texts = hashed_terms([*LIKED.values(), *TRAINED])
    np.testing.assert_array_equal(again.space.of(texts), signal.space.of(texts))


@pytest.mark.parametrize("texts", [[], ["alone"], [None, ""], ["same words", "same words"]])
def test_a_space_of_little_is_finite_and_still_tells_texts_apart(texts):
    space = fit_text_space(hashed_terms(texts), 32, seed=1)
    one, like, other, empty = space.of(hashed_terms(["blue moon", "moon blue", "red sun", ""]))
    assert one @ like == pytest.approx(1.0)
    assert abs(one @ other) < 0.6
    assert not empty.any()


def test_a_state_on_disk_holds_the_terms_of_texts_and_not_the_texts(tmp_path):
    made = feed({"text": LIKED["zh"]}, {"text": ALIKE["en"]})
    write_state(tmp_path / "state", made, 10, 10)
    assert "text" not in pq.read_schema(tmp_path / "state" / "posts.parquet").names
    assert LIKED["zh"].encode() not in (tmp_path / "state" / "posts.parquet").read_bytes()
    again, state = read_state(tmp_path / "state"), state_of(made)
    for code, name in enumerate(state.items.names):
        np.testing.assert_array_equal(again.terms[again.items.get(name)], state.terms[code])


def test_a_state_of_a_table_without_texts_has_none():
    made = tables([(HOUR, "u", "x", "like")], [{"post_id": "x"}, {"post_id": "y", "at": DAY}])
    assert [len(terms) for terms in state_of(made).terms] == [0, 0]
