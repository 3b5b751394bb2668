"""The engine contract: what every engine must do according to :mod:`drayage.engine`.

Each test runs once for each engine in ``engine_rigs.ENGINES``.
"""

from collections.abc import Iterator

import pytest
from engine_bench import Bench
from engine_rigs import ENGINES


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Return an engine under test; everything that the test creates is removed at the end, also after a failure."""
    rig = request.param()
    try:
        yield Bench(rig)
    finally:
        rig.close()
