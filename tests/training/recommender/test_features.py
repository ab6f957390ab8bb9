"""Features of users and posts: the same for some posts as for all, whatever is known of them."""

import numpy as np
import pytest

from tests.training.recommender.worlds import HOUR, tables, view_of
from training.recommender.models.features import USER_FEATURES, Look

BARE = [{"post_id": f"p{n}"} for n in range(6)]
LABELLED = [
    row | {"author": f"a{n % 2}", "lang": "en", "topics": [f"t{n % 3}"], "community": "c"}
    for n, row in enumerate(BARE)
]


@pytest.mark.parametrize(
    "posts", [BARE, LABELLED, BARE[:3] + LABELLED[3:]], ids=["bare", "labelled", "mixed"]
)
@pytest.mark.parametrize("name", USER_FEATURES)
def test_a_feature_of_some_posts_is_that_part_of_the_feature_of_all(posts, name):
    events = [(HOUR, "ann", "p0", "like"), (HOUR, "ann", "p4", "like"), (2 * HOUR, "ann", "p1", "hide")]
    view = view_of(tables(events, posts))
    users, columns = view.users(["ann", "nobody"]), np.array([2, 0, 3])
    every = USER_FEATURES[name](Look(view, users, None))
    some = USER_FEATURES[name](Look(view, users, columns))
    assert np.isfinite(every).all()
    np.testing.assert_allclose(some, every[:, columns], rtol=1e-6)
