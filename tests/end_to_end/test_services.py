"""Every service of the README's table is there and answers in its own protocol."""

from __future__ import annotations

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from stack import Stack

pytestmark = pytest.mark.stack

HTTP_SERVICES = [
    ("REGISTRY_PORT", "/apis/ccompat/v7/subjects", "["),
    ("MINIO_PORT", "/minio/health/live", ""),
    ("MINIO_CONSOLE_PORT", "/", "MinIO Console"),
    ("FLINK_PORT", "/overview", '"taskmanagers":1'),
    ("GATEWAY_PORT", "/v1/info", "Apache Flink"),
    ("CATALOG_PORT", "/v1/config", "{"),
    ("DAGSTER_PORT", "/server_info", "dagster_webserver_version"),
]

HEALTHY_SERVICES = [
    "kafka",
    "schema-registry",
    "minio",
    "flink-jobmanager",
    "flink-taskmanager",
    "flink-sql-gateway",
    "iceberg-rest",
    "postgres",
    "dagster-code",
    "dagster-webserver",
    "dagster-daemon",
]


@pytest.mark.parametrize(("port", "path", "expected"), HTTP_SERVICES)
def test_an_http_service_answers(stack: Stack, port: str, path: str, expected: str) -> None:
    """A published port without an answer is worse than none."""
    answer = httpx.get(stack.url(port) + path, timeout=10)
    assert answer.status_code == httpx.codes.OK
    assert expected in answer.text


def test_the_broker_answers(stack: Stack) -> None:
    """Clients on this machine reach the broker through its published listener."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{stack.port('KAFKA_PORT')}"})
    metadata = admin.list_topics(timeout=10)
    assert [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()] == [
        f"127.0.0.1:{stack.port('KAFKA_PORT')}"
    ]


@pytest.mark.parametrize("service", HEALTHY_SERVICES)
def test_a_service_is_healthy_limited_and_not_root(stack: Stack, service: str) -> None:
    """Each service passes its own health check, has a memory limit and does not run as root."""
    container = stack.container(service)
    assert container.attrs["State"]["Health"]["Status"] == "healthy"
    assert container.attrs["HostConfig"]["Memory"] > 0
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    user = container.attrs["Config"]["User"]
    assert user.split(":")[0] not in {"", "0", "root"}


@pytest.mark.parametrize("service", [*HEALTHY_SERVICES, "mc-init"])
def test_a_service_publishes_on_loopback_only(stack: Stack, service: str) -> None:
    """No service of the stack listens on an external address."""
    bindings = stack.container(service).attrs["HostConfig"]["PortBindings"] or {}
    assert {binding["HostIp"] for port in bindings.values() for binding in port} <= {"127.0.0.1"}


def test_the_bucket_was_created_once(stack: Stack) -> None:
    """The one-shot service exits with success instead of staying up or restarting."""
    state = stack.container("mc-init").attrs["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


def test_no_password_is_in_any_log(stack: Stack) -> None:
    """Generated credentials stay in the environment file."""
    secrets = {
        name: value for name, value in stack.environment.items() if name.endswith(("PASSWORD", "SECRET_ACCESS_KEY"))
    }
    assert secrets
    leaks = [
        f"{name} in the log of {service}"
        for service in [*HEALTHY_SERVICES, "mc-init"]
        for name, value in secrets.items()
        if value.encode() in stack.container(service).logs()
    ]
    assert leaks == []


def test_no_password_is_in_any_image(stack: Stack) -> None:
    """An image can be shared without sharing a credential."""
    secrets = [v for n, v in stack.environment.items() if n.endswith(("PASSWORD", "SECRET_ACCESS_KEY"))]
    images = {stack.container(service).image for service in HEALTHY_SERVICES}
    configurations = [str(image.attrs["Config"]) + str(image.history()) for image in images]
    assert [c for c in configurations for secret in secrets if secret in c] == []
