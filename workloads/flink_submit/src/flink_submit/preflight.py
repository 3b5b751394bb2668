"""Check that every service answers before any work begins."""

import time
from collections.abc import Iterable

from flink_submit.errors import ServiceError
from flink_submit.service_client import PATIENCE_S, ServiceClient
from flink_submit.settings import BronzeSettings, LakeSettings


def check_services(settings: LakeSettings) -> None:
    """Check that Flink, the catalog and the object store answer, and for bronze the schema registry too.

    Args:
        settings: The addresses of the services.

    Raises:
        ServiceError: Some services do not answer within about 15 s; the message names all of them.
    """
    check_all(_services(settings))


def check_all(services: Iterable[tuple[ServiceClient, str]], *, patience_s: float = PATIENCE_S) -> None:
    """Request a path of each service.

    Args:
        services: The services, each with the path to request.
        patience_s: Seconds to repeat requests that are not answered, for all services together.

    Raises:
        ServiceError: Some services do not answer, or answer with a server error; the message names all of them.
    """
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


def _services(settings: LakeSettings) -> Iterable[tuple[ServiceClient, str]]:
    yield ServiceClient("Flink's SQL Gateway", settings.flink_sql_gateway_url), "/v1/info"
    yield ServiceClient("Flink's JobManager", settings.flink_jobmanager_url), "/overview"
    yield ServiceClient("The Iceberg catalog", settings.iceberg_catalog_uri), "/v1/config"
    yield ServiceClient("The object store", settings.s3_endpoint), "/"
    if isinstance(settings, BronzeSettings):
        yield ServiceClient("The schema registry", settings.schema_registry_url), "/subjects"
