"""Fixtures for the tests of the sweeper."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage
from swept_deployment import Swept, works


@pytest.fixture
def swept(tmp_path: Path) -> Iterator[Swept]:
    """Return a deployment of an instance in memory, which is made faster."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Swept(tmp_path / "exchange", instance, _engine())


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Swept]:
    """Return a deployment of an instance that keeps its storage and its compute logs on this machine."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield Swept(tmp_path / "exchange", instance, _engine())


def _engine() -> FakeEngine:
    return FakeEngine({"image": FakeImage({"ends": lambda _: 1, "works": works})})
