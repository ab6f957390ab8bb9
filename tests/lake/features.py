"""A stand-in for the dbt features: two small tables over the raw ones, and hashes of their content."""

from orchestration.lake.connection import connect, write
from serving.settings import Settings


def build_features(settings: Settings) -> None:
    def work(connection: object) -> None:
        connection.execute("create schema if not exists lake.marts")  # type: ignore[attr-defined]
        connection.execute(  # type: ignore[attr-defined]
            "create or replace table lake.marts.interactions as "
            "select event_id, occurred_at, user_id, post_id, action from lake.raw.events"
        )
        connection.execute(  # type: ignore[attr-defined]
            "create or replace table lake.marts.posts as select * exclude (_batch_id, _landed_at, _load_seq) "
            "from lake.raw.posts"
        )

    write(settings, work, "features")


def feature_hashes(settings: Settings) -> dict[str, str]:
    found = {}
    with connect(settings, read_only=True) as connection:
        for name in ("interactions", "posts"):
            row = connection.execute(
                f"select count(*)::varchar || '-' || coalesce(sum(hash(t)), 0)::varchar from lake.marts.{name} as t"
            ).fetchone()
            assert row is not None
            found[f"marts.{name}"] = row[0]
    return found
