"""What the tests of the pages leave behind is as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def main_stays() -> Iterator[None]:
    """Streamlit's test runner puts its script in the place of ``__main__``, which processes spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
