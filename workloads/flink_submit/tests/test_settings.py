from pathlib import Path

import pytest
from pydantic import SecretStr

from flink_submit import settings
from flink_submit.errors import SettingsError
from flink_submit.settings import (
    BronzeSettings,
    LakeSettings,
    SilverSettings,
    TopicExtras,
    load_settings,
    parse_extras,
    parse_month,
)

ENVIRONMENT = {
    "FLINK_SQL_GATEWAY_URL": "http://gateway.test",
    "FLINK_JOBMANAGER_URL": "http://jobmanager.test",
    "FLINK_UI_URL": "http://ui.test",
    "ICEBERG_CATALOG_URI": "http://catalog.test",
    "ICEBERG_WAREHOUSE": "s3://warehouse/",
    "S3_ENDPOINT": "http://minio.test",
    "S3_REGION": "us-east-1",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.test:9092",
    "SCHEMA_REGISTRY_URL": "http://registry.test",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def test_reads_the_environment_and_hides_the_credentials() -> None:
    """Settings objects appear in tracebacks."""
    loaded = load_settings(BronzeSettings)
    assert loaded.kafka_bootstrap_servers == "kafka.test:9092"
    assert loaded.s3_secret_access_key == SecretStr("secret")
    assert "secret'" not in repr(loaded)
    assert "secret" not in "".join(loaded.catalog_values().values())


def test_names_all_that_is_missing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt should show everything that is missing."""
    monkeypatch.delenv("S3_ENDPOINT")
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    with pytest.raises(SettingsError, match=r"wrong: KAFKA_BOOTSTRAP_SERVERS, S3_ENDPOINT\."):
        load_settings(BronzeSettings)


def test_silver_does_not_ask_for_what_only_bronze_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step requires only what it uses."""
    monkeypatch.delenv("SCHEMA_REGISTRY_URL")
    assert load_settings(SilverSettings).kafka_bootstrap_servers == "kafka.test:9092"
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    assert load_settings(LakeSettings).s3_endpoint == "http://minio.test"
    with pytest.raises(SettingsError, match=r"wrong: KAFKA_BOOTSTRAP_SERVERS\."):
        load_settings(SilverSettings)


def test_reads_secrets_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that the engine mounts as files are in no environment."""
    monkeypatch.delenv("S3_SECRET_ACCESS_KEY")
    monkeypatch.setattr(settings, "SECRETS_DIRECTORY", tmp_path)
    (tmp_path / "s3_secret_access_key").write_text("from a file\n", encoding="utf-8")
    assert load_settings(LakeSettings).s3_secret_access_key == SecretStr("from a file")


def test_takes_the_topics_from_the_extras() -> None:
    """The host names the topics; the workload has no default."""
    extras = parse_extras(TopicExtras, {"topic": "taxi.raw_trips", "versions_topic": "taxi.month_versions"})
    assert (extras.topic, extras.versions_topic) == ("taxi.raw_trips", "taxi.month_versions")


@pytest.mark.parametrize(
    "extras",
    [{}, {"topic": "t"}, {"topic": 1, "versions_topic": "v"}, {"topic": "t", "versions_topic": "v", "tpoic": "u"}],
)
def test_refuses_other_extras(extras: dict[str, object]) -> None:
    """A misspelt extra would otherwise silently have no effect."""
    with pytest.raises(SettingsError, match="The Pipes extras are wrong"):
        parse_extras(TopicExtras, extras)


def test_takes_a_month() -> None:
    """Partition keys are months."""
    assert parse_month("2019-01") == "2019-01"


@pytest.mark.parametrize("key", [None, "2019", "2019-13", "2019-01-01", "x' OR '1'='1"])
def test_refuses_what_is_not_a_month(key: str | None) -> None:
    """The month is written into SQL."""
    with pytest.raises(SettingsError, match="needs one month as its Pipes partition key"):
        parse_month(key)
