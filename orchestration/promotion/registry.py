"""MLflow's model registry, by client calls alone: versions of verified bundles, aliases, tags, reports.

MLflow registers a version whose files do not exist, and its aliases have no compare-and-swap. So files are hashed
before they are registered and again when they are fetched, and aliases only ever follow the ledger.
"""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from training.bundle import MANIFEST, BundleError, Kind, open_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIASES = ("candidate", "champion", "previous")
_MODEL = "model"
_BUNDLE = "bundle"
_TAG_LIMIT = 5000
"""Characters that MLflow's database keeps of a tag."""
_CODE = Path(__file__).with_name("pyfunc_model.py")
_REQUIREMENTS = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "mlflow",
)


class Registry(Protocol):
    """What promotion needs of a model registry."""

    def aliases(self, model: str) -> dict[str, str]:
        """Alias to version."""
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        ...

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away."""
        ...

    def tags(self, model: str, version: str) -> dict[str, str]:
        """Tags of a version."""
        ...

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        ...

    def fetch(self, model: str, version: str, folder: Path) -> None:
        """Copy the bundle of a version into an empty folder."""
        ...

    def attach(self, run_id: str, files: Mapping[str, str]) -> None:
        """Store texts as artifacts of a run, by path."""
        ...


@dataclass(frozen=True)
class MlflowRegistry:
    """The registry in the MLflow store at `tracking_uri`. Methods raise MlflowException when it cannot be reached."""

    tracking_uri: str

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri)

    def register(
        self, model: Kind, bundle_path: Path, run_id: str, *, lake_snapshot: int, dagster_run_id: str = ""
    ) -> str:
        """Register the bundle as a version of `model`, point `candidate` at it and return the version.

        The bundle is verified first; its pyfunc model is logged under `model/` of the run. A bundle that is registered
        already keeps its version. Raises BundleError for a bundle that is not whole or of another kind.
        """
        bundle = open_bundle(bundle_path, model)
        self._ensure_model(model)
        version = self._version_of(model, bundle.digest)
        if version is None:
            with tempfile.TemporaryDirectory() as scratch:
                save_pyfunc(Path(scratch) / _MODEL, bundle_path, model)
                self._client.log_artifacts(run_id, str(Path(scratch) / _MODEL), _MODEL)
            source = f"{self._client.get_run(run_id).info.artifact_uri.rstrip('/')}/{_MODEL}"
            tags = {
                "lake.snapshot": str(lake_snapshot),
                "bundle.digest": bundle.digest,
                "bundle.architecture": bundle.architecture,
                "dagster.run_id": dagster_run_id,
            }
            created = self._client.create_model_version(
                model,
                source,
                run_id=run_id,
                tags=tags,
                description=f"{bundle.architecture}, lake snapshot {lake_snapshot}",
            )
            version = str(created.version)
        self.set_alias(model, "candidate", version)
        return version

    def _ensure_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version_of(self, model: str, digest: str) -> str | None:
        found = self._client.search_model_versions(f"name = '{model}' and tags.`bundle.digest` = '{digest}'")
        return str(min(int(entry.version) for entry in found)) if found else None

    def aliases(self, model: str) -> dict[str, str]:
        """Alias to version; empty for a model that nobody registered yet."""
        from mlflow.exceptions import MlflowException

        try:
            known = self._client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: str(version) for alias, version in known.items()}

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(model, alias, version)

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away."""
        self._client.delete_registered_model_alias(model, alias)

    def tags(self, model: str, version: str) -> dict[str, str]:
        """Tags of a version."""
        return dict(self._client.get_model_version(model, version).tags)

    def set_tags(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version; values are cut to what MLflow keeps."""
        for name, value in tags.items():
            self._client.set_model_version_tag(model, version, name, value[:_TAG_LIMIT])

    def delete_tag(self, model: str, version: str, tag: str) -> None:
        """Take a tag off a version."""
        self._client.delete_model_version_tag(model, version, tag)

    def versions(self, model: str) -> "list[ModelVersion]":
        """All versions of a model; empty for one that nobody registered yet."""
        return list(self._client.search_model_versions(f"name = '{model}'"))

    def fetch(self, model: str, version: str, folder: Path) -> None:
        """Copy the bundle of a version into an empty folder. Raises BundleError when the registry has no files of
        it.
        """
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        source = self._client.get_model_version(model, version).source
        with tempfile.TemporaryDirectory() as scratch:
            try:
                got = download_artifacts(
                    artifact_uri=f"{source}/artifacts/{_BUNDLE}",
                    dst_path=scratch,
                    tracking_uri=self.tracking_uri,
                )
            except (MlflowException, OSError) as error:
                raise BundleError(
                    f"the registry has no files of {model} version {version}: {error}"
                ) from error
            if not (Path(got) / MANIFEST).is_file():
                raise BundleError(f"the registry has no bundle of {model} version {version} under {source}")
            shutil.copytree(got, folder, dirs_exist_ok=True)

    def attach(self, run_id: str, files: Mapping[str, str]) -> None:
        """Store texts as artifacts of a run, by path."""
        for name, text in files.items():
            self._client.log_text(run_id, text, name)

    def attach_table(self, run_id: str, name: str, columns: Mapping[str, list[str]]) -> None:
        """Store a table as an artifact of a run, where MLflow's UI shows and compares tables."""
        self._client.log_table(run_id, dict(columns), name)


def save_pyfunc(target: Path, bundle_path: Path, kind: Kind) -> None:
    """Save the bundle as an MLflow model: models-from-code, the bundle as its artifact, versions as installed."""
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    subject, size = ("user_id", "k") if kind == "recommender" else ("prompt", "max_tokens")
    inputs: list[Any] = [ColSpec(DataType.string, subject), ColSpec(DataType.long, size, required=False)]
    with tempfile.TemporaryDirectory() as scratch:
        # The artifact is called like its folder, and MLflow follows no links: a copy with a name that `fetch` knows.
        shutil.copytree(bundle_path, Path(scratch) / _BUNDLE)
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(_CODE),
            artifacts={_BUNDLE: str(Path(scratch) / _BUNDLE)},
            signature=ModelSignature(inputs=Schema(inputs)),
            input_example=pd.DataFrame({subject: ["a"], size: [20]}),
            # Given, because guessing them would import the model in a subprocess.
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS],
        )
