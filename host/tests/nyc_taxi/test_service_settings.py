import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from nyc_taxi.settings import Images, Services, SettingsError, load_landing_keys, load_services
from nyc_taxi.workloads import SECRETS, describe_workloads

REPOSITORY = Path(__file__).parents[3]
INSTANCE = REPOSITORY / "host" / "instance" / "dagster.yaml"
VALUES = {name.upper(): f"value-of-{name}" for name in Services.model_fields}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_all_that_is_missing_is_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_ENDPOINT")
    monkeypatch.delenv("LANDING_URL")
    with pytest.raises(SettingsError, match=r"S3_ENDPOINT .*LANDING_URL"):
        load_services()


@pytest.mark.usefixtures("environment")
def test_a_workload_gets_the_settings_that_it_needs_and_no_others() -> None:
    workloads, services = describe_workloads(Images()), load_services()
    assert set(workloads.generator.environment(services)) == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "SCHEMA_REGISTRY_URL",
        "S3_ENDPOINT",
        "S3_REGION",
        "LANDING_URL",
    }
    assert not [name for name in workloads.auditor.environment(services) if name.startswith("FLINK")]
    assert not [name for name in workloads.dbt_runner.environment(services) if name.startswith(("KAFKA", "FLINK"))]


def test_credentials_are_files_and_not_in_the_environment() -> None:
    """People who may inspect a container must not see them."""
    workloads = describe_workloads(Images())
    credentials = {"s3_access_key_id", "s3_secret_access_key"}
    for workload in (workloads.flink_submit, workloads.dbt_runner, workloads.auditor):
        assert set(workload.settings()["secrets"]) == credentials
        assert not credentials & set(workload.needs)
    reader = {"landing_access_key_id", "landing_secret_access_key"}
    assert set(workloads.generator.settings()["secrets"]) == reader
    assert not reader & set(workloads.generator.needs)


def test_what_the_landing_zone_is_read_by_is_reported_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_ACCESS_KEY_ID", "reader")
    monkeypatch.delenv("LANDING_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"lacks settings .*: LANDING_SECRET_ACCESS_KEY"):
        load_landing_keys()


def test_no_step_runs_as_root_or_with_capabilities() -> None:
    workloads = describe_workloads(Images())
    for workload in (workloads.generator, workloads.flink_submit, workloads.dbt_runner, workloads.auditor):
        settings = workload.settings()
        assert settings["user"] == "10001:10001"
        assert settings["cap_drop"] == ("ALL",)
        assert settings["no_new_privileges"] is True


def test_an_image_is_pulled_only_by_its_digest() -> None:
    """A registry's image of the same name and tag would be a stranger's."""
    digest = f"registry.example/generator@sha256:{'a' * 64}"
    workloads = describe_workloads(Images(generator_image=digest, auditor_image="registry.example/auditor:1"))
    pulled = [
        workload.settings()["pull"] for workload in (workloads.generator, workloads.auditor, workloads.dbt_runner)
    ]
    assert pulled == ["missing", "never", "never"]


@pytest.fixture
def instance() -> Any:
    return yaml.safe_load(INSTANCE.read_text())


def test_run_workers_get_every_setting_that_a_step_needs(instance: Any) -> None:
    """A name that is left out there is missing in run workers alone."""
    handed = set(instance["run_launcher"]["config"]["env_vars"])
    assert set(VALUES) | {secret.variable for secret in SECRETS.values()} <= handed
    assert {"DRAYAGE_DEPLOYMENT", "DRAYAGE_EXCHANGE_ROOT", "DRAYAGE_NETWORK"} <= handed


def test_the_host_services_and_make_dev_add_the_pipelines_checks_to_drayage_doctor() -> None:
    compose = yaml.safe_load((REPOSITORY / "compose.yml").read_text())
    in_compose = [
        compose["services"][name]["environment"]["DRAYAGE_DOCTOR_CHECKS"]
        for name in ("dagster-webserver", "dagster-daemon", "dagster-code")
    ]
    in_dev = re.findall(r"DRAYAGE_DOCTOR_CHECKS=(\S+)", (REPOSITORY / "bootstrap" / "dev.sh").read_text())
    (name,) = {*in_compose, *in_dev}
    module, _, function = name.partition(":")
    assert callable(getattr(import_module(module), function))


def test_a_worker_that_died_is_retried_and_a_step_that_failed_is_not(instance: Any) -> None:
    assert instance["run_monitoring"]["max_resume_run_attempts"] == 0
    assert instance["run_retries"] == {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}


def test_pools_have_a_limit(instance: Any) -> None:
    assert instance["concurrency"]["pools"]["default_limit"] == 1
