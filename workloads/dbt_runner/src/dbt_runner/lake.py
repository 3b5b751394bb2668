"""Check that the data dbt reads is reachable, before dbt is loaded.

dbt reports a catalog that is down some seconds later, as a failed model with DuckDB's message. Two requests to the
catalog and one to the object store distinguish the causes.

*Source*: Iceberg REST catalog API, ``/v1/config`` and ``/v1/{prefix}/namespaces/{namespace}/tables/{table}``
(https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml).
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

from dbt_runner.errors import CatalogError, ObjectStoreError, SourceMissingError
from dbt_runner.settings import Settings

SOURCE_NAMESPACE = "silver"
SOURCE_TABLE = "cleaned_trips"
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class SourceTable:
    """The table that dbt reads, as the catalog describes it.

    Args:
        name: Namespace and name.
        snapshot_id: The current snapshot; None if nothing was ever committed to the table.
    """

    name: str
    snapshot_id: int | None


def require_source(settings: Settings) -> SourceTable:
    """Raise if the source table or the store of its files is unreachable.

    Args:
        settings: The addresses of the catalog and the store.

    Returns:
        The table.

    Raises:
        CatalogError: The catalog does not answer within 10 s, or not as an Iceberg catalog.
        SourceMissingError: The catalog has no such table.
        ObjectStoreError: The object store does not answer within 10 s, or answers with a server error.
    """
    with requests.Session() as session:
        root = settings.iceberg_catalog_uri.rstrip("/")
        config = _get_json(session, root, "/v1/config", {"warehouse": settings.iceberg_warehouse})
        # Checked before the table: a catalog whose store is down answers a request for a table late or never.
        _require_object_store(session, settings.s3_endpoint)
        return _find_table(session, root, config)


def _find_table(session: requests.Session, root: str, config: dict[str, Any]) -> SourceTable:
    prefix = config.get("overrides", {}).get("prefix") or config.get("defaults", {}).get("prefix")
    path = f"/v1/{f'{quote(prefix)}/' if prefix else ''}namespaces/{SOURCE_NAMESPACE}/tables/{SOURCE_TABLE}"
    metadata = _get_json(session, root, path, {}).get("metadata", {})
    snapshot_id = metadata.get("current-snapshot-id", -1)
    return SourceTable(f"{SOURCE_NAMESPACE}.{SOURCE_TABLE}", None if snapshot_id == -1 else snapshot_id)


def _get_json(session: requests.Session, root: str, path: str, parameters: dict[str, str]) -> dict[str, Any]:
    try:
        response = session.get(root + path, params=parameters, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise CatalogError(
            f"The Iceberg catalog at {root} does not answer ({_describe(error)}). dbt reads silver through it. "
            "Check that the service iceberg-rest is up and healthy, then materialize again."
        ) from error
    if response.status_code == HTTPStatus.NOT_FOUND and "/tables/" in path:
        raise SourceMissingError(
            f"The Iceberg catalog at {root} has no table {SOURCE_NAMESPACE}.{SOURCE_TABLE}; expected silver's trips "
            "there. Materialize silver/cleaned_trips for this month first, then the marts."
        )
    try:
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
    except requests.RequestException as error:
        raise CatalogError(
            f"The Iceberg catalog at {root} answered {path} with {response.status_code} "
            f"{response.text[:200]!r}; expected an Iceberg REST catalog's JSON. "
            "See the log of the service iceberg-rest and the setting ICEBERG_CATALOG_URI."
        ) from error
    return answer


def _require_object_store(session: requests.Session, endpoint: str) -> None:
    try:
        # The request is unsigned: any answer other than a server error shows that the store works.
        response = session.get(endpoint, timeout=_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        raise ObjectStoreError(
            f"The object store at {endpoint} does not answer ({_describe(error)}). It holds the files of "
            f"{SOURCE_NAMESPACE}.{SOURCE_TABLE}. Check that the service minio is up and healthy, "
            "then materialize again."
        ) from error
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ObjectStoreError(
            f"The object store at {endpoint} answered {response.status_code} {response.reason}; expected any status "
            "below 500. See the log of the service minio, then materialize again."
        )


def _describe(error: requests.RequestException) -> str:
    """Return the cause in a few words; the library's text repeats address and class names."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT_S:.0f} s"
    text = str(error)
    for sign, words in (
        ("NameResolutionError", "its name does not resolve: the container is not running"),
        ("Connection refused", "connection refused"),
        ("No route to host", "no route to the host"),
    ):
        if sign in text:
            return words
    return text
