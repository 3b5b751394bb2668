"""The engine is the one that is named, in code or by the environment; a wrong name says what is right."""

import pytest

from drayage.docker.debug import DockerDebugger
from drayage.docker.engine import DockerEngine
from drayage.engine import short_id
from drayage.engines import default_debugger, default_engine, engine_named
from drayage.errors import SettingsError
from drayage.kubernetes import KubernetesEngine
from drayage.kubernetes.debug import KubernetesDebugger


def test_the_environment_names_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRAYAGE_ENGINE", raising=False)
    assert isinstance(default_engine(), DockerEngine)
    assert isinstance(default_debugger(), DockerDebugger)
    monkeypatch.setenv("DRAYAGE_ENGINE", "kubernetes")
    assert isinstance(default_engine(), KubernetesEngine), "nothing is asked of a cluster yet"
    assert isinstance(default_debugger(), KubernetesDebugger)
    monkeypatch.setenv("DRAYAGE_ENGINE", "kubernets")
    for choose in (default_engine, default_debugger):
        with pytest.raises(SettingsError, match=r"docker, kubernetes, got 'kubernets'"):
            choose()


def test_a_code_location_may_name_several() -> None:
    assert isinstance(engine_named("docker"), DockerEngine)
    assert isinstance(engine_named("kubernetes"), KubernetesEngine)


def test_a_cluster_that_is_not_configured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(SettingsError, match="KUBECONFIG"):
        engine_named("kubernetes").find({"a": "b"})


def test_an_id_is_shown_as_the_engines_own_tools_show_it() -> None:
    assert short_id("ab" * 32) == "ab" * 6
    assert short_id("demo-report-1a2b3c4d-5e6f") == "demo-report-1a2b3c4d-5e6f"
