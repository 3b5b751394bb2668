"""The engine contract: what every engine must do according to :mod:`drayage.engine`.

Each test runs once for each engine in ``engine_rigs.ENGINES``.
"""

from collections.abc import Iterator

import pytest
from engine_bench import Bench
from engine_rigs import ENGINES, make_rig


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with each engine."""
    if "bench" in metafunc.fixturenames:
        metafunc.parametrize("engine_kind", ENGINES, indirect=True, scope="session")


@pytest.fixture
def bench(request: pytest.FixtureRequest, engine_kind: str) -> Iterator[Bench]:
    """Return an engine under test; everything that the test creates is removed at the end, also after a failure."""
    rig = make_rig(engine_kind, request)
    try:
        yield Bench(rig)
    finally:
        rig.close()
