"""The masks against the simulated world's truth: nothing planted is left, and nothing else is masked."""

import re
from collections import Counter

import pyarrow.parquet as pq

from orchestration.lake.connection import connect
from serving.settings import Settings

_MASKED = """
select posts.post_id, post_texts.text
from lake.staging.stg_posts as posts
inner join lake.intermediate.post_texts as post_texts on posts.version_id = post_texts.version_id
"""


def counted(settings: Settings) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By kind: pieces planted, pieces masked, and those of the planted that were masked as what they are."""
    truth = pq.read_table(settings.home.with_name("truth") / "day-00000" / "personal.parquet").to_pylist()
    with connect(settings, read_only=True) as connection:
        texts = dict(connection.execute(_MASKED).fetchall())
    planted = Counter((row["post_id"], row["kind"]) for row in truth)
    masked = Counter(
        (post, kind)
        for post, text in texts.items()
        for kind in re.findall(r"<(email|phone|id|card)>", text or "")
    )
    for row in truth:
        assert row["value"] not in texts[row["post_id"]], row
    return tuple(Counter(kind for _, kind in each.elements()) for each in (planted, masked, planted & masked))  # type: ignore[return-value]


def test_all_that_was_planted_is_masked_as_what_it_is_and_nothing_else(built_lake: Settings) -> None:
    planted, masked, found = counted(built_lake)
    assert set(planted) == {"email", "phone", "id", "card"}
    assert found == planted
    assert masked == planted
