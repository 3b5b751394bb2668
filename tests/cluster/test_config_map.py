"""Dagster on a cluster has the settings that compose.yml gives the host, and its secrets in the secret alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import output
from stack import REPOSITORY

SECRETS = {
    "DAGSTER_POSTGRES_PASSWORD",
    "LANDING_ACCESS_KEY_ID",
    "LANDING_SECRET_ACCESS_KEY",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
}
# Said by the manifests, or by the image.
OF_THE_CLUSTER = {"DRAYAGE_CLI_PREFIX", "DRAYAGE_EXCHANGE_ROOT", "TAXI_MARTS_VOLUME"}
# What a pod cannot join.
DOCKERS = {"DRAYAGE_NETWORK"}


@pytest.fixture
def objects(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Return the config map's and the secret's content for an environment file with made-up values."""
    file = tmp_path / "own.env"
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    file.write_text(re.sub(r"(?m)^(\w+)=$", r"\1=made-up-\1", example), encoding="utf-8")
    stack = output(
        "docker", "compose", "--env-file", file, "--project-directory", REPOSITORY, "config", "--format=json"
    )
    given = ("DAGSTER_POSTGRES_HOST=db.example", "S3_REGION=eu-west-1")
    script = REPOSITORY / "deploy/kubernetes/services.py"
    made = json.loads(output("python3", script, *given, said=stack))
    assert [item["metadata"] for item in made["items"]] == [{"name": "services", "namespace": "drayage"}] * 2
    return {item["kind"]: item.get("data") or item["stringData"] for item in made["items"]}


def test_every_setting_of_a_run_worker_is_in_one_of_them_or_of_the_cluster(objects: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((REPOSITORY / "host/instance/dagster.yaml").read_text(encoding="utf-8"))
    wanted = set(config["run_launcher"]["config"]["env_vars"]) - OF_THE_CLUSTER - DOCKERS
    assert wanted <= objects["ConfigMap"].keys() | objects["Secret"].keys()
    assert not (OF_THE_CLUSTER | DOCKERS) & objects["ConfigMap"].keys()


def test_only_the_secret_has_secrets(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["Secret"].keys() == SECRETS
    assert not [value for value in objects["Secret"].values() if value in objects["ConfigMap"].values()]
    assert not [name for name in objects["ConfigMap"] if "PASSWORD" in name or "KEY" in name]


def test_what_is_given_comes_before_what_compose_says(objects: dict[str, dict[str, Any]]) -> None:
    assert objects["ConfigMap"]["S3_REGION"] == "eu-west-1"
    assert objects["ConfigMap"]["DAGSTER_POSTGRES_HOST"] == "db.example"
    assert objects["ConfigMap"]["KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
