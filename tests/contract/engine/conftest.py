"""The engine contract: what every engine must do according to :mod:`drayage.engine`.

Each test runs once for each engine in ``engine_rigs.ENGINES``.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bench import Bench
from engine_rigs import ENGINES, make_rig
from mailbox_step import Step


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with each engine, or with those that its module names."""
    if "bench" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "ENGINES", ENGINES)
        metafunc.parametrize("engine_kind", kinds, indirect=True, scope="session")


@pytest.fixture
def bench(request: pytest.FixtureRequest, engine_kind: str) -> Iterator[Bench]:
    """Return an engine under test; everything that the test creates is removed at the end, also after a failure."""
    rig = make_rig(engine_kind, request)
    try:
        yield Bench(rig)
    finally:
        rig.close()


@pytest.fixture
def step(bench: Bench, tmp_path: Path) -> Iterator[Step]:
    """Return an attempt at a step, whose container is removed at the end."""
    made = Step(bench, tmp_path)
    try:
        yield made
    finally:
        made.close()
