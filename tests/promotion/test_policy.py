"""Policies: what a reviewer wrote is what the gate applies, and a slip of the pen is refused."""

import shutil

import pytest
import yaml

from orchestration.promotion.policy import POLICY_DIR, load_policy
from training.errors import UserError


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(POLICY_DIR, tmp_path / "policies")
    return tmp_path / "policies"


def change(folder, old, new, model="recommender"):
    path = folder / f"{model}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("model", ["recommender", "generator"])
def test_the_shipped_policies_load_and_are_commented(model):
    assert load_policy(model).model == model
    text = (POLICY_DIR / f"{model}.yaml").read_text()
    assert text.count("#") >= 8
    assert len(text.splitlines()) < 80


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("min_gain: 0.0", "min_gian: 0.0", "comparison.min_gain: Field required"),
        ("min_gain: 0.0", "min_gain: .nan", "comparison.min_gain"),
        ("min_gain: 0.0", "min_gain: -1", "comparison.min_gain"),
        ("min_units: 50", "min_units: some", "comparison.min_units"),
        ("p99_ms: 250", "p99_ms: 250\n  force: true", "serving.force: Extra inputs"),
        ("baselines: [popularity]", "baselines: []", "comparison.baselines"),
        ("version: 1", "version: [", "is not YAML"),
        ("model: recommender", "model: poet", "model: Input should be"),
        ("model: recommender", "model: generator", "needs safety limits"),
    ],
)
def test_a_slip_of_the_pen_is_refused_in_one_line(folder, old, new, said):
    change(folder, old, new)
    with pytest.raises(UserError) as caught:
        load_policy("recommender", folder)
    assert said in str(caught.value)
    assert "recommender.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_a_file_that_is_no_policy_is_refused(folder, text):
    (folder / "recommender.yaml").write_text(text)
    with pytest.raises(UserError):
        load_policy("recommender", folder)


def test_a_missing_policy_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no policy for recommender: .*recommender\.yaml"):
        load_policy("recommender", tmp_path)


def test_a_file_under_another_models_name_is_refused(folder):
    shutil.copy(folder / "generator.yaml", folder / "recommender.yaml")
    with pytest.raises(UserError, match="is the policy of generator"):
        load_policy("recommender", folder)


def test_a_generator_without_safety_limits_is_refused(folder):
    values = yaml.safe_load((folder / "generator.yaml").read_text()) | {"safety": None}
    (folder / "generator.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="needs safety limits"):
        load_policy("generator", folder)


def test_a_recommender_without_limits_of_reach_is_refused(folder):
    values = yaml.safe_load((folder / "recommender.yaml").read_text()) | {"reach": None}
    (folder / "recommender.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="needs limits of reach"):
        load_policy("recommender", folder)


def test_a_limit_without_a_bound_is_refused(folder):
    change(folder, "{least: 50}", "{}", "generator")
    with pytest.raises(UserError, match="needs `least` or `most`"):
        load_policy("generator", folder)


def test_the_digest_follows_the_values_and_not_the_comments(folder):
    before = load_policy("recommender", folder).digest
    change(folder, "# users with a held-out event", "# people")
    assert load_policy("recommender", folder).digest == before
    change(folder, "min_units: 50", "min_units: 60")
    assert load_policy("recommender", folder).digest != before
