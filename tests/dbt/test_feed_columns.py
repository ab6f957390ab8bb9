"""What the feed needs of the lake: deletions, stated languages and propensities come through to the state."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tests.dbt.project import World
from training.recommender.feed.settings import FeedSettings
from training.recommender.models.popularity import Popularity
from training.recommender.served import ServedRecommender
from training.recommender.state import FeedState

AT = datetime(2024, 3, 1, tzinfo=UTC)
LATER = datetime(2024, 3, 2, tzinfo=UTC)


def post(post_id: str, **more: Any) -> dict[str, Any]:
    return {"post_id": post_id, "created_at": AT, "author_id": "dan", "text": f"words of {post_id}", **more}


def test_a_deletion_reaches_the_feed_and_the_corpus_and_is_not_undone_by_an_older_row(world: World) -> None:
    lake = world.emptied()
    like = {"occurred_at": AT, "user_id": "bob", "post_id": "stays", "action": "like"}
    lake.load(
        events=[{**like, "event_id": "e1", "propensity": 0.003}, {**like, "event_id": "e2"}],
        posts=[post("stays", lang="en"), post("goes", lang="en"), post("french", lang="fr")],
        users=[{"user_id": "ann", "language": "en"}, {"user_id": "bob", "region": "eu"}],
    )
    lake.build()
    assert shown(lake, "ann") == {"stays", "goes"}
    assert shown(lake, "cem") == {"stays", "goes", "french"}
    lake.load(posts=[{"post_id": "goes", "created_at": AT, "deleted_at": LATER}])
    lake.build()
    assert shown(lake, "ann") == {"stays"}
    lake.load(posts=[post("goes", lang="en", topics=["late"])])
    lake.build()
    assert shown(lake, "ann") == {"stays"}
    assert lake.rows("select text, deleted_at from lake.marts.posts where post_id = 'goes'") == [
        (None, LATER)
    ]
    assert lake.rows("select count(*) from lake.marts.corpus_documents where text like '%goes'") == [(0,)]
    assert lake.rows("select event_id, propensity from lake.marts.interactions order by all") == [
        ("e1", 0.003),
        ("e2", None),
    ]


def shown(lake: World, user: str) -> set[str]:
    made = FeedState.from_tables(
        table(lake, "interactions"), table(lake, "posts"), users=table(lake, "users")
    )
    served = ServedRecommender(Popularity(24.0, 1.0), FeedSettings())
    return {item.post_id for item in served.recommend(made, user, 10, exclude_seen=False).items}


def table(lake: World, name: str) -> pa.Table:
    return lake.connection.execute(f"from lake.marts.{name}").to_arrow_table()
