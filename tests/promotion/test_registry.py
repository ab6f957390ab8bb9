"""The registry on a real MLflow store: versions, aliases, tags, pyfunc, and files that are really there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.promotion.registry import MlflowRegistry
from serving.models import Loaders, TextRun
from tests.promotion.cases import CUT
from training.bundle import BundleError, open_bundle, write_bundle
from training.recommender.feed.messages import Ranking, Recommendation
from training.tracking import Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests of this file: its database migration takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    return Tracker(f"sqlite:///{folder / 'mlflow.db'}", folder)


def new_run(store, model="recommender"):
    experiment = store.client.get_experiment_by_name(model).experiment_id
    return store.client.create_run(experiment, run_name="candidate").info.run_id


def bundle_of(folder: Path, text: str, kind="recommender"):
    def files(target: Path) -> None:
        (target / "weights.txt").write_text(text)
        (target / "state").mkdir()
        (target / "state" / "posts.txt").write_text("p1")

    return write_bundle(folder / text, kind, "blend", files, trained_until=CUT, lineage={})


@pytest.fixture
def registry(store):
    return MlflowRegistry(store.tracking_uri)


@pytest.fixture
def load(store, monkeypatch):
    """`mlflow.pyfunc.load_model` on this store; the global setting, which is an environment variable, is undone."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", store.tracking_uri)
    return mlflow.pyfunc.load_model


def test_a_version_carries_its_tags_and_its_files(store, registry, tmp_path):
    bundle, run_id = bundle_of(tmp_path, "first"), new_run(store)
    version = registry.register("recommender", bundle.path, run_id, lake_snapshot=7, dagster_run_id="d1")
    tags = registry.tags("recommender", version)
    assert tags == {
        "lake.snapshot": "7",
        "bundle.digest": bundle.digest,
        "bundle.architecture": "blend",
        "dagster.run_id": "d1",
    }
    assert registry.aliases("recommender")["candidate"] == version
    (tmp_path / "out").mkdir()
    registry.fetch("recommender", version, tmp_path / "out")
    assert open_bundle(tmp_path / "out").digest == bundle.digest


def test_the_same_bundle_is_registered_once(store, registry, tmp_path):
    bundle = bundle_of(tmp_path, "same")
    first = registry.register("recommender", bundle.path, new_run(store), lake_snapshot=7)
    other = registry.register(
        "recommender", bundle_of(tmp_path, "other").path, new_run(store), lake_snapshot=7
    )
    again = registry.register("recommender", bundle.path, new_run(store), lake_snapshot=8)
    assert again == first != other
    assert registry.aliases("recommender")["candidate"] == first


def test_a_bundle_that_is_not_whole_is_not_registered(store, registry, tmp_path):
    bundle, run_id = bundle_of(tmp_path, "broken"), new_run(store)
    (bundle.path / "weights.txt").write_text("tampered")
    before = store.client.search_model_versions("name = 'recommender'")
    with pytest.raises(BundleError, match=r"weights\.txt differs"):
        registry.register("recommender", bundle.path, run_id, lake_snapshot=7)
    assert len(store.client.search_model_versions("name = 'recommender'")) == len(before)


def test_a_bundle_of_the_other_family_is_not_registered(store, registry, tmp_path):
    with pytest.raises(BundleError, match="holds a recommender, not a generator"):
        registry.register("generator", bundle_of(tmp_path, "family").path, new_run(store), lake_snapshot=7)


def test_aliases_move_and_go(store, registry, tmp_path):
    version = registry.register(
        "recommender", bundle_of(tmp_path, "alias").path, new_run(store), lake_snapshot=7
    )
    registry.set_alias("recommender", "champion", version)
    assert registry.aliases("recommender")["champion"] == version
    registry.delete_alias("recommender", "champion")
    assert "champion" not in registry.aliases("recommender")


def test_a_model_that_nobody_registered_has_no_aliases(registry):
    assert registry.aliases("nobody") == {}


def test_long_reasons_are_cut_to_what_mlflow_keeps(store, registry, tmp_path):
    version = registry.register(
        "recommender", bundle_of(tmp_path, "long").path, new_run(store), lake_snapshot=7
    )
    registry.set_tags("recommender", version, {"gate.reasons": "为" * 6000})
    assert len(registry.tags("recommender", version)["gate.reasons"]) == 5000


def test_a_version_whose_files_are_gone_cannot_be_fetched(store, registry, tmp_path):
    """MLflow calls such a version READY all the same."""
    version = store.client.create_model_version(
        "recommender", (tmp_path / "nowhere").as_uri(), run_id=new_run(store)
    ).version
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleError, match="registry has no"):
        registry.fetch("recommender", str(version), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_reports_are_attached_to_the_run(store, registry):
    run_id = new_run(store)
    registry.attach(run_id, {"gate/report.html": "<p>中文</p>"})
    assert [entry.path for entry in store.client.list_artifacts(run_id, "gate")] == ["gate/report.html"]


class Engine:
    """Answers with what it was loaded from."""

    def __init__(self, bundle):
        self.text = (bundle.path / "weights.txt").read_text()

    def on(self, state):
        self.state = state
        return self

    def answer(self, requests):
        names = [f"{self.text}-{self.state}-{request.user_id}" for request in requests]
        return [Ranking([Recommendation(name, 0.5, ["liked"])]) for name in names]

    def generate(self, prompt, sampling):
        return TextRun(iter([prompt, self.text, str(sampling.max_tokens)]))


@pytest.fixture
def fake_engines(monkeypatch):
    loaders = Loaders(Engine, Engine, lambda folder: (folder / "posts.txt").read_text())
    monkeypatch.setattr("serving.models.trained", lambda: loaders)


def test_a_recommender_version_loads_with_pyfunc(store, registry, tmp_path, fake_engines, load):
    import pandas as pd

    version = registry.register(
        "recommender", bundle_of(tmp_path, "pyfunc").path, new_run(store), lake_snapshot=7
    )
    model = load(f"models:/recommender/{version}")
    answers = model.predict(pd.DataFrame({"user_id": ["ann", "bob"]}))
    assert answers[1] == [{"post_id": "pyfunc-p1-bob", "score": 0.5, "reasons": ["liked"]}]


def test_a_generator_version_loads_with_pyfunc(store, registry, tmp_path, fake_engines, load):
    import pandas as pd

    bundle = bundle_of(tmp_path, "text", "generator")
    version = registry.register("generator", bundle.path, new_run(store, "generator"), lake_snapshot=7)
    model = load(f"models:/generator/{version}")
    assert model.predict(pd.DataFrame({"prompt": ["人工智能"]})) == ["人工智能text64"]


def test_a_tampered_artifact_does_not_load_with_pyfunc(store, registry, tmp_path, fake_engines, load):
    run_id = new_run(store)
    version = registry.register("recommender", bundle_of(tmp_path, "tamper").path, run_id, lake_snapshot=7)
    source = store.client.get_model_version("recommender", version).source
    (Path(source.removeprefix("file://")) / "artifacts" / "bundle" / "weights.txt").write_text("evil")
    with pytest.raises(BundleError, match=r"weights\.txt differs"):
        load(f"models:/recommender/{version}")


def test_registering_does_not_touch_mlflows_global_state(store, registry, tmp_path):
    """Several stores may be used from one process; a global active run would mix them up."""
    script = (
        "import json, sys, mlflow; from pathlib import Path\n"
        "from orchestration.promotion.registry import MlflowRegistry\n"
        "uri, bundle, run = sys.argv[1:]\n"
        "MlflowRegistry(uri).register('recommender', Path(bundle), run, lake_snapshot=1)\n"
        "print(json.dumps([mlflow.active_run() is None, mlflow.get_tracking_uri() == uri]))"
    )
    bundle, run_id = bundle_of(tmp_path, "global"), new_run(store)
    done = subprocess.run(
        [sys.executable, "-c", script, store.tracking_uri, str(bundle.path), run_id],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [True, False]
    assert not (tmp_path / "mlruns").exists() and not (tmp_path / "mlflow.db").exists()
