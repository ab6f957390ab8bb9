"""All settings, typed, from the environment (`TIDEGATE_*`) or a `.env` file; documented in `.env.example`."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.moderation_settings import ModerationSettings
from training.recommender.feed.settings import FeedSettings


class Settings(BaseSettings):
    """One object for the lake, the registry, the gate's stores and the server. Raises ValidationError on bad values."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEGATE_",
        env_file=".env",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path("var"), description="Folder that holds all state; delete it to start anew.")
    lake_catalog: str = Field(
        "", description="DuckLake catalog: empty for SQLite under home, or `postgres:dbname=... host=...`."
    )
    lake_data_path: str = Field(
        "", description="Where the lake's Parquet lies: empty for home/lake/data, or s3://..."
    )
    lake_retries: int = Field(
        8, ge=0, description="How often a refused commit is tried again, with back-off."
    )
    quarantine_limit: float = Field(
        0.05, ge=0, le=1, description="Share of bad rows above which a file is refused whole."
    )
    mlflow_tracking_uri: str = Field(
        "", description="MLflow store: empty for SQLite under home, or a server's URL."
    )
    host: str = Field("127.0.0.1", description="Address that the API, Dagster and MLflow listen on.")
    api_port: int = Field(8000, ge=0, le=65535, description="Port of the API (0: any free one).")
    dagster_port: int = Field(3000, ge=0, le=65535, description="Port of the Dagster UI.")
    mlflow_port: int = Field(5000, ge=0, le=65535, description="Port of the MLflow UI.")
    max_concurrent_generations: int = Field(
        32, ge=1, description="Requests for text under way at once; more get 429 and Retry-After."
    )
    max_batched_texts: int = Field(
        32, ge=8, description="Texts made side by side; the choices of more requests wait for their turn."
    )
    generator_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="URL, with /v1, of an OpenAI-compatible server that answers for the generator; empty: none.",
    )
    generator_model: str = Field("", description="The model's name there; empty: the first that it lists.")
    generator_key: SecretStr = Field(SecretStr(""), description="Sent there as a bearer token; empty: none.")
    generator_timeout: float = Field(
        60.0, gt=0, description="Seconds that it may let us wait for an answer or for its next part."
    )
    max_body_bytes: int = Field(4 << 20, ge=1024, description="Largest request body the API reads.")
    poll_seconds: float = Field(0.5, gt=0, le=5, description="How often the server looks for a new champion.")
    journal_seal_seconds: float = Field(
        30.0, gt=0, description="Age at which a journal segment is sealed for ingestion."
    )
    journal_seal_bytes: int = Field(8 << 20, gt=0, description="Size at which a journal segment is sealed.")
    feed: FeedSettings = Field(FeedSettings(), description="The feed, `TIDEGATE_FEED_*`: see `FeedSettings`.")
    action_weights: Path | None = Field(
        None,
        description="What each action is worth, as YAML; empty: the project's own. Read again when it changes.",
    )
    published_texts: int = Field(
        20_000,
        ge=0,
        description="Newest posts whose texts the server gets, for drafts, replies, summaries and answers.",
    )
    abuse_labels: Path | None = Field(
        None,
        description="Texts labelled as abusive (1) or not (0): CSV with the columns `text` and `label`; empty: what "
        "users reported alone. Read when a generator is trained.",
    )
    moderation: ModerationSettings = Field(
        ModerationSettings(), description="What generators may be asked and may say, `TIDEGATE_MODERATION_*`."
    )
    base_model: str = Field(
        "",
        description="Public model that every training of the generator fine-tunes as one more candidate: `smollm2`, a "
        "folder, a GGUF file or a Hugging Face id; empty: none.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Structured logs for people or machines."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    world_users: int = Field(
        1500, ge=50, description="Users of the embedded world that `tidegate run` founds."
    )
    world_posts: int = Field(5000, ge=100, description="Posts of the embedded world.")
    world_events: int = Field(150_000, ge=1000, description="Events of the embedded world.")
    world_days: int = Field(42, ge=7, description="Days of the embedded world.")
    world_seed: int = Field(7, description="Seed of the embedded world.")
    log_generations: bool = Field(
        True,
        description="Journal generated texts with their prompts, so that feedback needs to send a request id alone.",
    )
    feedback_volume: int = Field(
        200, ge=1, description="New feedback rows that start a training of the generator from feedback."
    )

    @field_validator("action_weights", "abuse_labels", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return value or None

    @field_validator("base_model")
    @classmethod
    def _located(cls, value: str) -> str:
        """A path holds wherever a process is started; what is no path is a name."""
        path = Path(value).expanduser()
        return str(path.absolute()) if value and path.exists() else value

    @field_validator("home", "action_weights", "abuse_labels")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @property
    def home_id(self) -> str:
        """A name of this home that does not tell where it lies."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:16]

    @property
    def landing_dir(self) -> Path:
        """Append-only landing zone."""
        return self.home / "landing"

    @property
    def incoming_dir(self) -> Path:
        """Files that wait to be ingested; the API's sealed journals lie under `api/`."""
        return self.landing_dir / "incoming"

    @property
    def lake_dir(self) -> Path:
        """Embedded catalog and data files."""
        return self.home / "lake"

    @property
    def online_dir(self) -> Path:
        """What the server reads: champions, their bundles, the state of users and posts."""
        return self.home / "online"

    @property
    def truth_dir(self) -> Path:
        """Known truth of simulated worlds; read by tests alone."""
        return self.home / "truth"

    @property
    def mlflow_dir(self) -> Path:
        """Embedded MLflow store."""
        return self.home / "mlflow"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.home / "dagster"

    @property
    def dbt_dir(self) -> Path:
        """dbt's target and logs."""
        return self.home / "dbt"

    @property
    def tracking_uri(self) -> str:
        """URI that MLflow clients use."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.mlflow_dir / 'mlflow.db'}"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process. Tests call `get_settings.cache_clear()` after they change the environment."""
    return Settings()
