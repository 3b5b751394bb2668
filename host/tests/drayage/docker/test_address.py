"""The engine is found as Docker's own command finds it."""

import hashlib
import json
from pathlib import Path

import pytest

from drayage.docker.address import find_address
from drayage.errors import SettingsError


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration with one context, ``there``, that nobody has chosen."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    key = hashlib.sha256(b"there").hexdigest()
    (tmp_path / "contexts" / "meta" / key).mkdir(parents=True)
    described = {
        "Name": "there",
        "Metadata": {},
        "Endpoints": {"docker": {"Host": "tcp://there:2376", "SkipTLSVerify": False}},
    }
    (tmp_path / "contexts" / "meta" / key / "meta.json").write_text(json.dumps(described))
    (tmp_path / "contexts" / "tls" / key / "docker").mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / "contexts" / "tls" / key / "docker" / name).touch()
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


@pytest.mark.usefixtures("configuration")
def test_the_socket_of_this_machine_is_the_default() -> None:
    found = find_address({})
    assert (found.url, found.tls, str(found)) == (None, None, "unix:///var/run/docker.sock")


@pytest.mark.usefixtures("configuration")
def test_a_context_is_named_by_the_environment() -> None:
    found = find_address({"DOCKER_CONTEXT": "there"})
    assert found.url == "tcp://there:2376"
    assert found.tls is not None
    assert found.tls.verify
    assert found.named_by == "the Docker context there"


def test_a_context_may_have_been_chosen_for_good(configuration: Path) -> None:
    (configuration / "config.json").write_text(json.dumps({"currentContext": "there"}))
    assert find_address({}).url == "tcp://there:2376"
    assert find_address({"DOCKER_CONTEXT": "default"}).url is None


@pytest.mark.usefixtures("configuration")
def test_an_address_wins_over_a_context() -> None:
    found = find_address({"DOCKER_HOST": "tcp://here:2375", "DOCKER_CONTEXT": "there"})
    assert (found.url, found.tls, found.named_by) == ("tcp://here:2375", None, "DOCKER_HOST")


def test_certificates_are_taken_from_where_the_environment_says(configuration: Path) -> None:
    folder = configuration / "contexts" / "tls" / hashlib.sha256(b"there").hexdigest() / "docker"
    found = find_address({"DOCKER_HOST": "tcp://here:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)})
    assert found.tls is not None
    assert (found.tls.ca_cert, found.tls.verify) == (str(folder / "ca.pem"), True)


@pytest.mark.usefixtures("configuration")
def test_a_context_that_does_not_exist_is_refused_and_never_the_default_taken() -> None:
    """docker-py alone would run the step on this machine."""
    with pytest.raises(SettingsError, match=r"does not exist \(elsewhere\): expected one that"):
        find_address({"DOCKER_CONTEXT": "elsewhere"})


def test_a_context_that_cannot_be_read_is_refused(configuration: Path) -> None:
    (meta,) = configuration.glob("contexts/meta/*/meta.json")
    meta.write_text("no JSON")
    with pytest.raises(SettingsError, match="cannot be read"):
        find_address({"DOCKER_CONTEXT": "there"})


@pytest.mark.usefixtures("configuration")
def test_missing_certificates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DOCKER_CERT_PATH"):
        find_address({"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path / "no")})
