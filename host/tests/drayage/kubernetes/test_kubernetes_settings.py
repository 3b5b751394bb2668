"""The settings of pods are validated before anything is made, and say where they come from."""

from pathlib import Path
from typing import Any

import pytest

from drayage.errors import SettingsError
from drayage.kubernetes.settings import KubernetesSettings


def test_arguments_win_over_variables_and_these_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("namespace: of-file\nrelay_image: of-file\nlinger_s: 60\nrequests: {cpu: 1}\n")
    environment = {"DRAYAGE_KUBERNETES_SETTINGS": str(file), "DRAYAGE_RELAY_IMAGE": "of-variable"}
    settings = KubernetesSettings.load(environment, namespace="given")
    assert (settings.namespace, settings.relay_image, settings.linger_s) == ("given", "of-variable", 60)
    assert settings.requests == {"cpu": "1"}
    assert KubernetesSettings.load({**environment, "DRAYAGE_KUBERNETES_NAMESPACE": "v"}).namespace == "v"


def test_without_any_the_defaults_hold() -> None:
    assert KubernetesSettings.load({}) == KubernetesSettings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"namespace": "Not_One"}, "namespace"),
        ({"requests": {"cpu": "much"}}, "requests.cpu"),
        ({"limits": {"memory": "1Gi"}}, "memory: set `memory` and `cpus`"),
        ({"pending_s": 0}, "pending_s"),
        ({"volumes": [{"name": "a", "target": "b", "source": {"emptyDir": {}}}]}, "volumes.0.target"),
        ({"volumes": [{"name": "a", "target": "/b", "source": {}}]}, "volumes.0.source"),
        ({"pod": {"status": {}}}, "pod"),
        ({"node_selektor": {}}, "node_selektor"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_given(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        KubernetesSettings.load({}, **given)
    assert told in str(raised.value)
    assert "got" in str(raised.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"linger_s: .*; wrong: "):
        KubernetesSettings.load({}, linger_s=-1, wrong=1)


@pytest.mark.parametrize("content", ["- a\n", "a: [\n", b"\xff"])
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match=r"settings\.yaml"):
        KubernetesSettings.load({"DRAYAGE_KUBERNETES_SETTINGS": str(file)})
    with pytest.raises(SettingsError, match="nowhere"):
        KubernetesSettings.load({"DRAYAGE_KUBERNETES_SETTINGS": str(tmp_path / "nowhere")})
