"""A model card says what a reviewer must know, with figures and intervals."""

from datetime import UTC, datetime
from pathlib import Path

from training.bundle import write_bundle
from training.model_card import model_card
from training.result import Candidate, TrainingOutcome


def test_the_card_names_use_window_intervals_slices_and_lineage(tmp_path: Path) -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)
    bundle = write_bundle(
        tmp_path / "b",
        "recommender",
        "blend",
        lambda folder: (folder / "w").write_bytes(b"w") and None,
        trained_until=start,
        lineage={},
    )
    metrics = {
        "test/ndcg_at_10": 0.3,
        "test/ndcg_at_10_low": 0.28,
        "test/ndcg_at_10_high": 0.32,
        "test/ndcg_at_10/lang/zh": 0.25,
    }
    candidate = Candidate("blend", {}, metrics, bundle)
    outcome = TrainingOutcome([candidate], "blend", ["popularity"], (start, end), ["two users were skipped"])
    lineage = {"lake.snapshot": 12, "rows": {"marts.posts": 1234}, "features.digest": "f", "code.digest": "c"}
    card = model_card("recommender", candidate, outcome, lineage)
    for part in (
        "# recommender: blend",
        "chosen on the validation window",
        "| test/ndcg_at_10 | 0.3000 | 0.2800 to 0.3200 |",
        "test/ndcg_at_10/lang/zh: 0.2500",
        "1,234 rows",
        "snapshot 12",
        bundle.digest,
        "two users were skipped",
    ):
        assert part in card
