"""What every test shares: a home of its own, no settings of the developer's, one quiet process."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Dagster's definitions read the settings when they are imported, so the home has to be set before any test module is.
_HOME = tempfile.TemporaryDirectory(prefix="tidegate-tests-")
for _name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
    del os.environ[_name]
os.environ["TIDEGATE_HOME"] = _HOME.name
os.environ["TIDEGATE_LOG_LEVEL"] = "WARNING"
# Several workers share the cores: threads within them would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The embedded world of the whole-loop tests: small, but with enough users and texts for every check to be judged.
os.environ |= {
    "TIDEGATE_WORLD_USERS": "300",
    "TIDEGATE_WORLD_POSTS": "1500",
    "TIDEGATE_WORLD_EVENTS": "30000",
    "TIDEGATE_WORLD_DAYS": "28",
}


@pytest.fixture(scope="session")
def session_home() -> Iterator[Path]:
    """The home that Dagster's definitions of this session use."""
    yield Path(_HOME.name)
    _HOME.cleanup()
