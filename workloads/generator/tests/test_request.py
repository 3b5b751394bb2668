from pathlib import Path
from typing import Any

import pytest
from conftest import HostFiles

from generator.errors import RequestError
from generator.month import Month
from generator.request import read_produce_request, read_topics_request

EXTRAS = {
    "topic": "taxi.raw_trips",
    "versions_topic": "taxi.month_versions",
    "source": "file_or_synthetic",
    "mode": "burst",
    "events": 10,
    "seed": 1,
}
ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "SCHEMA_REGISTRY_URL": "http://schema-registry:8085",
    "S3_ENDPOINT": "http://minio:9000",
    "S3_REGION": "us-east-1",
    "LANDING_URL": "s3://landing/yellow/",
}
SECRETS = {"landing_access_key_id": "reader", "landing_secret_access_key": "secret"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, secrets_folder: Path) -> None:
    """Set the image's complete environment, with the secrets as files."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name, value in SECRETS.items():
        (secrets_folder / name).write_text(value)


@pytest.fixture
def secrets_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which the host puts secrets, empty."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setattr("generator.request.SECRETS_FOLDER", folder)
    return folder


@pytest.fixture(autouse=True)
def _no_environment_of_the_machine(monkeypatch: pytest.MonkeyPatch, secrets_folder: Path) -> None:
    for name in (*ENVIRONMENT, *map(str.upper, SECRETS)):
        monkeypatch.delenv(name, raising=False)
    assert secrets_folder.is_dir()


@pytest.mark.usefixtures("environment")
def test_a_whole_request_is_read(host: HostFiles) -> None:
    """The values have their types."""
    with host.open_pipes(EXTRAS, "2024-01") as pipes:
        request = read_produce_request(pipes)
    assert request.month == Month(2024, 1)
    assert request.extras.seed == 1
    assert request.environment.landing_url == "s3://landing/yellow/"
    assert request.environment.landing_secret_access_key.get_secret_value() == "secret"
    assert "secret'" not in repr(request.environment).replace("SecretStr", "")


def test_all_that_is_missing_is_named_together(host: HostFiles) -> None:
    """One failed run should show everything that is wrong."""
    with host.open_pipes({}, None) as pipes, pytest.raises(RequestError) as caught:
        read_produce_request(pipes)
    for name in (*ENVIRONMENT, *map(str.upper, SECRETS), "topic", "versions_topic", "source", "mode", "partition"):
        assert name in str(caught.value)


def test_topics_demands_only_what_it_uses(host: HostFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic can be created while the registry is down."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    with host.open_pipes({"topic": "t", "partitions": 3, "versions_topic": "v"}, None) as pipes:
        assert read_topics_request(pipes).extras.partitions == 3


def test_topics_names_all_that_it_lacks(host: HostFiles) -> None:
    """This is the same as for ``produce``."""
    with host.open_pipes({"partitions": 0}, None) as pipes, pytest.raises(RequestError) as caught:
        read_topics_request(pipes)
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "topic", "versions_topic", "partitions"):
        assert name in str(caught.value)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "fast"}, "extra mode: Input should be 'burst', 'batch' or 'realtime'"),
        ({"mode": "batch"}, "batch_size and pause_s missing, which mode batch needs"),
        ({"mode": "batch", "batch_size": 0, "pause_s": 1}, "extra batch_size"),
        ({"mode": "batch", "batch_size": 5, "pause_s": -1}, "extra pause_s"),
        ({"mode": "realtime"}, "events_per_second missing, which mode realtime needs"),
        ({"mode": "realtime", "events_per_second": 0}, "extra events_per_second"),
        ({"events": 0}, "extra events"),
        ({"events": "10"}, "extra events"),
        ({"seed": -1}, "extra seed"),
        ({"topic": ""}, "extra topic"),
        ({"source": "both"}, "extra source: Input should be 'file', 'synthetic' or 'file_or_synthetic'"),
        ({"events": None, "seed": None}, "events and seed missing, which source file_or_synthetic needs"),
        ({"source": "synthetic", "seed": None}, "seed missing, which source synthetic needs"),
    ],
)
def test_a_wrong_extra_is_named(host: HostFiles, wrong: dict[str, Any], message: str) -> None:
    """An invalid setting ends the step before anything is sent."""
    with host.open_pipes(EXTRAS | wrong, "2024-01") as pipes, pytest.raises(RequestError, match=message):
        read_produce_request(pipes)


@pytest.mark.usefixtures("environment")
def test_an_extra_that_the_step_does_not_use_may_be_null(host: HostFiles) -> None:
    """A host sends the same names in every mode."""
    unused = dict.fromkeys(["batch_size", "pause_s", "events_per_second", "events", "seed"])
    with host.open_pipes(EXTRAS | unused | {"source": "file"}, "2024-01") as pipes:
        assert read_produce_request(pipes).extras.events is None


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("key", ["2024-13", "2024-1", "January", "2024-01-01"])
def test_a_partition_that_is_not_a_month_is_refused(host: HostFiles, key: str) -> None:
    """The key is used in file names and event ids."""
    with host.open_pipes(EXTRAS, key) as pipes, pytest.raises(RequestError, match=f"not a month.*'{key}'"):
        read_produce_request(pipes)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("url", ["landing/yellow/", "s3://landing/yellow", "s3://", "http://landing/yellow/"])
def test_an_address_that_is_no_folder_of_a_bucket_is_named(
    host: HostFiles, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Errors name a file by this address and its name."""
    monkeypatch.setenv("LANDING_URL", url)
    with host.open_pipes(EXTRAS, "2024-01") as pipes, pytest.raises(RequestError, match="variable LANDING_URL: "):
        read_produce_request(pipes)
