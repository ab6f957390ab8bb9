"""The two resources of every asset: settings (which also mark the run with its process) and MLflow."""

from dagster import ConfigurableResource, InitResourceContext

from orchestration.home import prepare_home
from orchestration.reaper import PROCESS_TAG, process_tag
from serving.settings import Settings, get_settings
from training.tracking import Tracker


class SettingsResource(ConfigurableResource):
    """tidegate's settings. Marks the run with its process, for the reaper of dead runs."""

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Prepare the home folder and tag the run."""
        prepare_home(self.get())
        if context.instance is not None and context.run_id is not None:
            context.instance.add_run_tags(context.run_id, {PROCESS_TAG: process_tag()})

    def get(self) -> Settings:
        """The settings of this process."""
        return get_settings()


class MlflowResource(ConfigurableResource):
    """MLflow by tidegate's conventions; dagster-mlflow is stale and not configurable per run."""

    tracking_uri: str = ""
    """Store to log to; empty takes TIDEGATE_MLFLOW_TRACKING_URI or the embedded store."""

    def tracker(self) -> Tracker:
        """A tracker on the store. Raises MlflowException when the store cannot be reached."""
        settings = get_settings()
        return Tracker(self.tracking_uri or settings.tracking_uri, settings.mlflow_dir)

    def run_url(self, experiment: str, run_id: str) -> str:
        """Address of a run in the MLflow UI that `tidegate up` starts."""
        settings = get_settings()
        return self.tracker().run_url(f"http://{settings.host}:{settings.mlflow_port}", experiment, run_id)
