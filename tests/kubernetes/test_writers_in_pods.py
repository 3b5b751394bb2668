"""The writers of all languages keep the workload contract in pods as in Docker's containers."""

from collections.abc import Iterator

import pytest
from kubernetes_namespace import Namespace

from drayage.conform import SCENARIOS, Bench, Scenario

LANGUAGES = ("go", "java", "node", "python", "shell")


@pytest.fixture(scope="module")
def writer(
    request: pytest.FixtureRequest, namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Return the bench of one language's writer, with all defaults of an engine of pods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAYAGE_ENGINE", "kubernetes")
        patch.setenv("KUBECONFIG", str(namespace.kubeconfig))
        with Bench(f"drayage/writer-{request.param}", exchange_root=tmp_path_factory.mktemp("exchange")) as bench:
            yield bench


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
@pytest.mark.parametrize("writer", LANGUAGES, indirect=True, scope="module")
def test_a_writer_keeps_the_workload_contract(writer: Bench, scenario: Scenario) -> None:
    writer.run(scenario).must_hold()
