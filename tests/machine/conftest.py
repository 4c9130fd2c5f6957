"""What holds for every test of loading."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_else_to_collect() -> Iterator[None]:
    """Set aside what other tests left in this process: looking through it takes longer than loading may."""
    gc.freeze()
    yield
    gc.unfreeze()
