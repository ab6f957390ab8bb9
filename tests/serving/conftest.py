from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.fakes import Publisher
from tests.serving.process import Server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running server with both tiny models, for tests that leave nothing behind that others would see."""
    home = tmp_path_factory.mktemp("home")
    publisher = Publisher(home)
    publisher.recommender(1)
    publisher.generator(1)
    publisher.state("s1")
    with Server(home) as running:
        running.ready(recommender="1", generator="1")
        yield running


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A home of its own in which nothing is published yet."""
    return Publisher(tmp_path)
