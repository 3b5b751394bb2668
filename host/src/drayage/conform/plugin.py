"""Provides a pytest plugin: a conformance test of an image in five lines, which becomes one test for each scenario.

::

    import pytest

    pytestmark = pytest.mark.conformance("my/image")

    def test_the_image_keeps_the_workload_contract(conformance):
        conformance.must_hold()
"""

from collections.abc import Iterator

import pytest

from drayage.conform.bench import Bench, Report
from drayage.conform.scenarios import SCENARIOS

_MARK = "conformance"


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", f"{_MARK}(image): the image that the `conformance` fixture tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Generate one test for each scenario."""
    if _MARK in metafunc.fixturenames:
        metafunc.parametrize(
            _MARK, SCENARIOS, ids=[scenario.name for scenario in SCENARIOS], indirect=True, scope="module"
        )


@pytest.fixture(scope="module")
def _conformance_bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    mark = request.node.get_closest_marker(_MARK)
    if mark is None or len(mark.args) != 1:
        pytest.fail(f'The module needs `pytestmark = pytest.mark.{_MARK}("image")`.', pytrace=False)
    with Bench(mark.args[0], exchange_root=tmp_path_factory.mktemp("exchange")) as bench:
        yield bench


@pytest.fixture
def conformance(request: pytest.FixtureRequest, _conformance_bench: Bench) -> Report:
    """Run one scenario, and return its report."""
    return _conformance_bench.run(request.param)
