"""Asks every service for a sign of life before any work begins."""

import time
from collections.abc import Iterable

from flink_submit.errors import ServiceError
from flink_submit.service_client import PATIENCE_S, ServiceClient
from flink_submit.settings import BronzeSettings, SilverSettings


def check_services(settings: SilverSettings) -> None:
    """Makes sure that Flink, catalog and object store answer, and for bronze the schema registry too.

    Raises:
        ServiceError: Names every service that does not, within about 15 s.
    """
    check_all(_services(settings))


def check_all(services: Iterable[tuple[ServiceClient, str]], *, patience_s: float = PATIENCE_S) -> None:
    """Requests a path of each service; all of them together get the patience of one, in seconds."""
    started = time.monotonic()
    failures = []
    for client, path in services:
        try:
            with client:
                answer = client.request("GET", path, patience_s=max(0.0, patience_s - (time.monotonic() - started)))
                if answer.is_server_error:
                    raise client.unexpected(answer, " ".join(answer.text.split())[:200])
        except ServiceError as error:
            failures.append(error)
    if failures:
        raise ServiceError(" ".join(str(failure) for failure in failures)) from failures[0]


def _services(settings: SilverSettings) -> Iterable[tuple[ServiceClient, str]]:
    yield ServiceClient("Flink's SQL Gateway", settings.flink_sql_gateway_url), "/v1/info"
    yield ServiceClient("Flink's JobManager", settings.flink_jobmanager_url), "/overview"
    yield ServiceClient("The Iceberg catalog", settings.iceberg_catalog_uri), "/v1/config"
    yield ServiceClient("The object store", settings.s3_endpoint), "/"
    if isinstance(settings, BronzeSettings):
        yield ServiceClient("The schema registry", settings.schema_registry_url), "/subjects"
