"""Has the data moved since a model was trained? Asked of the champion to start a retraining, and by the gate."""

from typing import TYPE_CHECKING

from orchestration.lake.connection import read_table
from serving.pointers import read_champions
from serving.settings import Settings
from training.bundle import Bundle, Kind, open_bundle
from training.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from orchestration.quality.drift_model import DriftReport


class NoDriftQuestionError(UserError):
    """There is nothing to compare: no champion, or no rows on one side. The message says which."""


def watched_frames(settings: Settings, model: Kind, snapshot: int) -> "dict[str, pd.DataFrame]":
    """The frames whose columns are watched for family `model`, at lake `snapshot`."""
    from orchestration.quality.drift_features import MARTS, feature_frames

    tables = {
        name: read_table(settings, name, snapshot=snapshot, columns=list(columns))
        for name, columns in MARTS[model].items()
    }
    return feature_frames(model, tables)


def drift_since(frames: "dict[str, pd.DataFrame]", model: Kind, bundle: Bundle, name: str) -> "DriftReport":
    """Compare what `bundle` was trained on with the latest window, with Evidently's page.

    Raises NoDriftQuestionError when one of the two windows is empty.
    """
    from orchestration.promotion.policy import load_policy
    from orchestration.quality.drift import compare_windows
    from orchestration.quality.drift_features import FEATURE_SPECS, time_span
    from orchestration.quality.drift_windows import choose_windows, filled_tables

    span, policy = time_span(frames), load_policy(model).drift
    try:
        if span is None:
            raise ValueError("no dated rows")
        windows = choose_windows(
            span[0].to_pydatetime(),
            bundle.trained_until,
            span[1].to_pydatetime(),
            reference_weeks=policy.reference_weeks,
            current_weeks=policy.current_weeks,
            filled=filled_tables(frames, policy.columns),
        )
    except ValueError as error:
        raise NoDriftQuestionError(f"{model}: {error}") from error
    return compare_windows(frames, windows, FEATURE_SPECS[model], policy.columns, name=name, html=True)


def watch_champion(settings: Settings, model: Kind, snapshot: int) -> "DriftReport":
    """Compare the champion's training window with the latest one at lake `snapshot`.

    Raises NoDriftQuestionError when there is nothing to compare.
    """
    champion = read_champions(settings.home).get(model)
    if champion is None:
        raise NoDriftQuestionError(f"{model}: no champion yet")
    bundle = open_bundle(champion.bundle, model)
    name = f"{model} champion {champion.version}: training window against the latest"
    return drift_since(watched_frames(settings, model, snapshot), model, bundle, name)
