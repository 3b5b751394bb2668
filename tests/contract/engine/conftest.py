"""The engine contract: what every engine must do according to :mod:`drayage.engine`.

Each test runs once for each engine in ``engine_rigs.ENGINES``.
"""

from collections.abc import Iterator

import pytest
from engine_bench import Bench
from engine_rigs import ENGINES, EngineRig


@pytest.fixture(params=ENGINES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Return an engine under test; everything that the test creates is removed at the end, also after a failure."""
    rig = _cluster_rig(request) if request.param is None else request.param()
    try:
        yield Bench(rig)
    finally:
        rig.close()


def _cluster_rig(request: pytest.FixtureRequest) -> EngineRig:
    from kubernetes_rig import CANNOT, KubernetesRig  # noqa: PLC0415 - only where there is a cluster

    case = request.node.name.replace("kubernetes-", "").replace("-kubernetes", "").replace("[kubernetes]", "")
    if reason := CANNOT.get(case) or CANNOT.get(request.node.originalname):
        pytest.skip(reason)
    return KubernetesRig(request.getfixturevalue("namespace"))
