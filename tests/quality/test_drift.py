"""Drift by column: named findings instead of crashes, Evidently's own figures, thresholds that know the sample size."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from orchestration.quality.drift import compare
from orchestration.quality.drift_model import AT, UNIT, DriftReport, DriftSettings, FeatureSpec
from orchestration.quality.drift_null import bin_codes, bin_numeric, jensenshannon, observed, psi
from orchestration.quality.drift_report import Measurable, drift_figure, measure

SETTINGS = DriftSettings(resamples=100, min_rows=50, min_units=10)
NUMBER = FeatureSpec("t", "x", "numeric")
WORD = FeatureSpec("t", "x", "categorical")
N = 400


def run(reference, current, spec=NUMBER, settings=SETTINGS, **more):
    frames = {"t": (pd.DataFrame({"x": reference}), pd.DataFrame({"x": current}))}
    return compare(frames, [spec], settings, name="test", **more).columns[0]


def normal(size=N, mean=0.0, seed=1):
    return np.random.default_rng(seed).normal(mean, 1, size)


def words(size=N, p=(0.5, 0.3, 0.2), seed=1):
    return np.random.default_rng(seed).choice(["a", "b", "c"], size, p=p)


NULLS = np.full(N, np.nan)
CASES = [
    # name, reference, current, spec, verdict, finding
    ("alike", normal(), normal(seed=2), NUMBER, "stable", "stable"),
    ("a moved mean", normal(), normal(mean=1), NUMBER, "drifted", "moved"),
    ("alike words", words(), words(seed=2), WORD, "stable", "stable"),
    ("a new word", words(), words(p=(0.1, 0.3, 0.6)), WORD, "drifted", "moved"),
    ("few on one side", normal(), normal(20, mean=5), NUMBER, "not_judged", "too_few"),
    ("few on the other", normal(20), normal(), NUMBER, "not_judged", "too_few"),
    ("no current rows", normal(), [], NUMBER, "not_judged", "empty"),
    ("no reference rows", [], normal(), NUMBER, "not_judged", "empty"),
    ("no rows", [], [], NUMBER, "not_judged", "empty"),
    ("all null", NULLS, NULLS, NUMBER, "not_judged", "all_null"),
    ("all null words", [None] * N, [None] * N, WORD, "not_judged", "all_null"),
    ("turned null", normal(), NULLS, NUMBER, "drifted", "all_null_in_current"),
    ("was null", NULLS, normal(), NUMBER, "drifted", "all_null_in_reference"),
    ("was null, words", [None] * N, words(), WORD, "drifted", "all_null_in_reference"),
    ("few turned null", normal(40), np.full(40, np.nan), NUMBER, "not_judged", "all_null_in_current"),
    ("constant", np.ones(N), np.ones(N), NUMBER, "not_judged", "constant"),
    ("constant word", ["a"] * N, ["a"] * N, WORD, "not_judged", "constant"),
    ("another constant", np.ones(N), np.zeros(N), NUMBER, "drifted", "constant_moved"),
    ("another constant word", ["a"] * N, ["b"] * N, WORD, "drifted", "constant_moved"),
    ("turned constant", normal(), np.ones(N), NUMBER, "drifted", "constant_in_current"),
    ("was constant", np.ones(N), normal(), NUMBER, "drifted", "constant_in_reference"),
    ("a word that was alone", ["a"] * N, words(), WORD, "drifted", "moved"),
    ("nulls came", normal(), np.where(np.arange(N) % 3 == 0, np.nan, normal(seed=2)), NUMBER, "drifted", "nulls_moved"),
    ("infinities are nulls", normal(), np.where(np.arange(N) % 3, np.inf, normal(seed=2)), NUMBER, "drifted",
     "nulls_moved"),
    ("text where a number was", normal(), ["x"] * N, NUMBER, "drifted", "all_null_in_current"),
    ("booleans", [True, False] * (N // 2), [True] * N, WORD, "drifted", "moved"),
    ("decimal strings", [str(v) for v in normal()], normal(seed=2), NUMBER, "stable", "stable"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "current", "spec", "verdict", "finding"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_every_state_of_a_column_has_a_verdict_and_a_name(reference, current, spec, verdict, finding):
    column = run(reference, current, spec)
    assert (column.verdict, column.finding) == (verdict, finding), column.detail
    assert column.detail.endswith(".")
    assert "t.x" in column.detail


@pytest.mark.parametrize(
    ("reference", "current", "finding"),
    [(["x"], ["y"], "missing_in_current"), (["y"], ["x"], "missing_in_reference"), (["y"], ["y"], "missing")],
)
def test_a_column_that_is_absent_is_named(reference, current, finding):
    frames = {"t": (pd.DataFrame({reference[0]: normal()}), pd.DataFrame({current[0]: normal()}))}
    assert compare(frames, [NUMBER], SETTINGS, name="test").columns[0].finding == finding


def test_a_table_that_is_absent_is_named():
    report = compare({}, [NUMBER, WORD], SETTINGS, name="test", html=True)
    assert [column.finding for column in report.columns] == ["missing", "missing"]
    assert report.html == ""


@pytest.mark.parametrize("size", [60, 5000])
@pytest.mark.parametrize("method", ["wasserstein", "psi"])
def test_our_numeric_distance_is_evidentlys(method, size):
    left, right = np.round(normal(size), 1), np.round(normal(size, 0.3, seed=2), 1)
    theirs, _ = measure({"x": Measurable((left, right), "numeric", method, 0.1)}, html=False)
    assert observed(bin_numeric(left, right, method)) == pytest.approx(theirs["x"], rel=1e-9)


def test_on_many_values_the_grid_stays_close_to_evidentlys_distance():
    left, right = normal(5000), normal(5000, 0.3, seed=2)
    theirs, _ = measure({"x": Measurable((left, right), "numeric", "wasserstein", 0.1)}, html=False)
    assert observed(bin_numeric(left, right, "wasserstein")) == pytest.approx(theirs["x"], rel=0.01)


@pytest.mark.parametrize(("method", "statistic"), [("jensenshannon", jensenshannon), ("psi", psi)])
def test_our_categorical_distance_is_evidentlys(method, statistic):
    left, right = words(), np.append(words(p=(0.2, 0.6, 0.2)), ["only here"])
    values = left.astype(object), right.astype(object)
    theirs, _ = measure({"x": Measurable(values, "categorical", method, 0.1)}, html=False)
    assert observed(bin_codes(left, right, statistic, squared=True)) == pytest.approx(theirs["x"], rel=1e-9)


def test_a_large_sample_does_not_flag_a_trifle():
    size = 100_000
    column = run(normal(size), normal(size, mean=0.05, seed=2))
    assert column.verdict == "stable"
    assert column.chance_units < column.floor == column.threshold


def test_a_small_sample_needs_a_larger_distance_than_a_large_one():
    small = run(normal(60), normal(60, seed=2), settings=SETTINGS)
    large = run(normal(6000), normal(6000, seed=2), settings=SETTINGS)
    assert small.threshold > 2 * large.threshold


def test_rows_of_one_user_are_not_so_many_opinions():
    """Forty users with forty rows each: taken for 1,600 opinions, their habits would pass for drift."""
    rng = np.random.default_rng(3)

    def side(offset):
        users = np.repeat(np.arange(40), 40)
        habits = rng.normal(0, 1, 40)[users]
        return pd.DataFrame(
            {"x": habits + rng.normal(0, 0.1, users.size), UNIT: (users + offset).astype(str)}
        )

    with_users, without = 0, 0
    for _ in range(5):
        pair = side(0), side(40)
        with_users += compare({"t": pair}, [NUMBER], SETTINGS, name="t").columns[0].verdict == "drifted"
        blind = tuple(frame.drop(columns=UNIT) for frame in pair)
        without += compare({"t": blind}, [NUMBER], SETTINGS, name="t").columns[0].verdict == "drifted"
    assert with_users == 0
    assert without >= 3


def test_the_many_people_called_anonymous_are_not_one_user():
    frame = pd.DataFrame({"x": normal(), UNIT: ["anonymous"] * N})
    assert compare({"t": (frame, frame)}, [NUMBER], SETTINGS, name="t").columns[0].units_reference == N


def test_rare_categories_become_one_so_that_a_long_tail_is_no_drift():
    rng = np.random.default_rng(0)
    reference, current = (np.char.add("tag", rng.zipf(1.3, 2000).astype(str)) for _ in range(2))
    assert run(reference, current, WORD).verdict == "stable"


def test_psi_can_be_asked_for_by_policy():
    settings = SETTINGS.model_copy(update={"numeric_method": "psi", "categorical_method": "psi"})
    assert run(normal(), normal(mean=1), settings=settings).finding == "moved"
    assert run(words(), words(seed=2), WORD, settings).finding == "stable"
    assert run(words(), words(p=(0.1, 0.3, 0.6)), WORD, settings).method == "psi"


def report(html=False) -> DriftReport:
    specs = [
        NUMBER,
        FeatureSpec("t", "y", "categorical"),
        FeatureSpec("u", "长度", "numeric"),
        FeatureSpec("u", "gone", "numeric"),
    ]
    frames = {
        "t": (
            pd.DataFrame({"x": normal(), "y": words()}),
            pd.DataFrame({"x": normal(mean=2), "y": words(seed=2)}),
        ),
        "u": (pd.DataFrame({"长度": normal(150)}), pd.DataFrame({"长度": normal(90, seed=2)})),
    }
    return compare(frames, specs, SETTINGS, name="several tables", html=html)


def test_tables_of_different_length_share_one_report_and_page():
    found = report(html=True)
    assert [column.name for column in found.drifted] == ["t.x"]
    assert [column.finding for column in found.columns] == ["moved", "stable", "stable", "missing"]
    assert found.line() == "several tables: 1 of 3 columns drifted (t.x), 1 not judged"
    assert "t.x" in found.html
    assert len(found.html) > 100_000
    assert "u.gone is in neither window." in found.html


def test_evidentlys_page_loads_nothing_from_the_network():
    page = report(html=True).html
    loads = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"'](?!data:)[^\"']*", page)
    assert loads == []
    assert not re.findall(r"@import\s|url\(\s*[\"']?https?:", page)


def test_a_report_survives_json():
    found = report()
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [entry["name"] for entry in again["columns"]] == [column.name for column in found.columns]
    assert "html" not in again


def test_the_figure_names_every_judged_column():
    labels = [label.get_text() for label in drift_figure(report()).axes[0].get_yticklabels()]
    assert {label.split(" ")[0] for label in labels} == {"t.x", "t.y", "u.长度"}


def test_the_figure_of_a_report_without_judged_columns_can_be_drawn():
    assert drift_figure(compare({}, [NUMBER], SETTINGS, name="nothing")).axes


def test_the_same_data_give_the_same_answer():
    first, second = report(), report()
    assert first.columns == second.columns


def test_dates_are_not_needed_to_compare_frames():
    frame = pd.DataFrame({"x": normal(), AT: pd.Timestamp("2026-01-01", tz="UTC")})
    assert compare({"t": (frame, frame)}, [NUMBER], SETTINGS, name="t").columns[0].chance_days is None
