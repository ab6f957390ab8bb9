"""Where the lake's catalog lies, and how to attach it: SQLite under home, or a PostgreSQL schema, by settings alone."""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from serving.settings import Settings
from training.errors import UserError

BUSY_MS = 20_000
_SCHEMA_WORD = re.compile(r"(?:^|\s)schema=(\S+)")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_DEFAULT_SCHEMA = "tidegate"


@dataclass(frozen=True)
class Catalog:
    """What `ATTACH` needs for one lake: the address behind `ducklake:` and its options."""

    address: str
    options: tuple[tuple[str, str | int], ...]

    @property
    def is_sqlite(self) -> bool:
        """Whether the catalog is a file of this machine."""
        return self.address.startswith("sqlite:")

    @property
    def file(self) -> Path:
        """The SQLite file."""
        assert self.is_sqlite
        return Path(self.address.removeprefix("sqlite:"))

    @property
    def dsn(self) -> str:
        """libpq's connection string."""
        assert not self.is_sqlite
        return self.address.removeprefix("postgres:")

    @property
    def schema(self) -> str:
        """PostgreSQL schema that holds the catalog's tables."""
        return str(dict(self.options)["metadata_schema"])

    def shown(self) -> str:
        """The address for messages, without a password."""
        return hide_password(self.address)


def hide_password(text: str) -> str:
    """`text` with the password of a connection string replaced by stars."""
    return re.sub(r"password=('[^']*'|\S+)", "password=***", text)


def catalog(settings: Settings) -> Catalog:
    """The catalog that `settings` name. Raises UserError when `lake_catalog` is not of a known form.

    `postgres:<libpq connection string>` may hold the extra word `schema=NAME`, so that one database takes several
    lakes; without it the schema is `tidegate`.
    """
    text = settings.lake_catalog.strip()
    if not text:
        return sqlite_catalog(settings.lake_dir / "catalog.sqlite")
    if not text.startswith("postgres:"):
        raise UserError(
            f"TIDEGATE_LAKE_CATALOG is {hide_password(text)!r}; it must be empty or begin with `postgres:`"
        )
    dsn = text.removeprefix("postgres:")
    found = _SCHEMA_WORD.search(dsn)
    return postgres_catalog(_SCHEMA_WORD.sub("", dsn).strip(), found.group(1) if found else _DEFAULT_SCHEMA)


def sqlite_catalog(file: Path) -> Catalog:
    """The catalog in SQLite file `file`."""
    return Catalog(f"sqlite:{file}", (("meta_busy_timeout", BUSY_MS),))


def postgres_catalog(dsn: str, schema: str) -> Catalog:
    """The catalog in `schema` of a PostgreSQL database. Raises UserError for a name that would need quoting."""
    if not _NAME.fullmatch(schema):
        raise UserError(f"schema={schema} in TIDEGATE_LAKE_CATALOG: use lower-case letters, digits and _")
    return Catalog(f"postgres:{dsn}", (("metadata_schema", schema),))


def attach_path(settings: Settings) -> str:
    """What other tools (dbt) attach: `ducklake:sqlite:...` or `ducklake:postgres:...`. Raises UserError."""
    return f"ducklake:{catalog(settings).address}"


def attach_options(settings: Settings) -> dict[str, str | int]:
    """Options that go with `attach_path` in `ATTACH ... (...)`. Raises UserError.

    No data path is among them: the catalog knows where its files lie.
    """
    return dict(catalog(settings).options)


def quoted(value: str) -> str:
    """`value` as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def attach(
    connection: duckdb.DuckDBPyConnection, where: Catalog, alias: str, **more: str | int | bool
) -> None:
    """Attach the lake at `where` as `alias`; in `more`, `True` stands for a bare word.

    Raises duckdb.Error as DuckLake reports it; its text may hold the connection string.
    """
    parts = []
    for key, value in (dict(where.options) | more).items():
        if value is True:
            parts.append(key)
        else:
            parts.append(f"{key} {quoted(value) if isinstance(value, str) else str(value).lower()}")
    connection.execute(f"attach {quoted('ducklake:' + where.address)} as {alias} ({', '.join(parts)})")
