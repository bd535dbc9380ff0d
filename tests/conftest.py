"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Hub, serve

from hub.settings import Settings


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A fresh hub for a module of tests."""
    home: Path = tmp_path_factory.mktemp("hub") / "home"
    with serve(Settings(home=home)) as served:
        yield served
