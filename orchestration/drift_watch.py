"""Has the data moved since the champion was trained? The question that starts a retraining."""

from typing import TYPE_CHECKING

from orchestration.cycle import ModelName
from orchestration.lake.connection import read_table
from orchestration.serve_check import champions
from serving.settings import Settings
from training.bundle import open_bundle

if TYPE_CHECKING:
    from orchestration.quality.drift_model import DriftReport


class NoDriftQuestionError(Exception):
    """There is nothing to compare: no champion, or no rows on one side. The message says which."""


def watch_champion(settings: Settings, model: ModelName, snapshot: int) -> "DriftReport":
    """Compare the champion's training window with the latest one at lake `snapshot`, with Evidently's page.

    Raises NoDriftQuestionError when there is nothing to compare.
    """
    from orchestration.promotion.policy import load_policy
    from orchestration.quality.drift import compare_windows
    from orchestration.quality.drift_features import FEATURE_SPECS, MARTS, feature_frames, time_span
    from orchestration.quality.drift_windows import choose_windows

    champion = champions(settings).get(model)
    if champion is None:
        raise NoDriftQuestionError(f"{model}: no champion yet")
    bundle = open_bundle(settings.home / champion["bundle"], model)
    tables = {
        name: read_table(settings, name, snapshot=snapshot, columns=list(columns))
        for name, columns in MARTS[model].items()
    }
    frames = feature_frames(model, tables)
    span = time_span(frames)
    policy = load_policy(model).drift
    try:
        if span is None:
            raise ValueError("no dated rows")
        windows = choose_windows(
            span[0].to_pydatetime(),
            bundle.trained_until,
            span[1].to_pydatetime(),
            reference_weeks=policy.reference_weeks,
            current_weeks=policy.current_weeks,
        )
    except ValueError as error:
        raise NoDriftQuestionError(f"{model}: {error}") from error
    name = f"{model} champion {champion['version']}: training window against the latest"
    return compare_windows(frames, windows, FEATURE_SPECS[model], policy.columns, name=name, html=True)
