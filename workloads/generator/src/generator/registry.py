"""Register the event's schema in the registry, where readers find it by the id in each message."""

from typing import Final

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from generator.errors import RegistryError, SchemaRefusedError

COMPATIBILITY: Final = "BACKWARD"
"""Readers of a new schema can read data that was written with the previous one."""

REQUEST_TIMEOUT_S: Final = 5
RETRIES: Final = 1
RETRY_WAIT_MS: Final = 500
"""A registry that does not answer is reported within eleven seconds."""

NOT_FOUND: Final = 404
CONFLICT: Final = 409


def register_schema(url: str, topic: str, avro_schema: str) -> int:
    """Register the schema of a topic's values; a schema that is already registered keeps its id.

    Args:
        url: Root of an API like that of Confluent's registry.
        topic: The topic; the subject is ``<topic>-value``.
        avro_schema: The schema as JSON.

    Returns:
        The schema's id.

    Raises:
        SchemaRefusedError: The schema is not compatible with the previous one.
        RegistryError: The registry does not answer, or answers with an error.

    *Source*: Confluent Schema Registry API, version 7: subjects, compatibility, error codes.
    """
    subject = f"{topic}-value"
    try:
        with SchemaRegistryClient(_settings(url)) as registry:
            # A subject must exist before its rule can be set. If it already exists, set the rule first, because the
            # registry applies it to the new version.
            known = _has_versions(registry, subject)
            if known:
                registry.set_compatibility(subject, COMPATIBILITY)
            schema_id = registry.register_schema(subject, Schema(avro_schema, "AVRO"))
            if not known:
                registry.set_compatibility(subject, COMPATIBILITY)
            return int(schema_id)
    except SchemaRegistryError as error:
        if error.http_status_code == CONFLICT:
            raise SchemaRefusedError(
                f"the schema of {subject} was refused, and nothing was sent",
                expected=f"a schema that is {COMPATIBILITY} compatible with the subject's latest version",
                got=str(error),
                where=f"schema registry {url}",
                todo="compare generator/raw_trip.avsc with the subject's versions: give new fields a default, "
                "change no type",
            ) from error
        raise _failed(url, "a success", str(error)) from error
    except httpx2.TransportError as error:
        raise _failed(url, "an answer", f"{type(error).__name__}: {error}") from error
    except ValueError as error:
        raise _failed(url, "the address of a schema registry, answering with JSON", str(error)) from error


def _settings(url: str) -> dict[str, object]:
    return {
        "url": url,
        "timeout": REQUEST_TIMEOUT_S,
        "max.retries": RETRIES,
        "retries.wait.ms": RETRY_WAIT_MS,
        "retries.max.wait.ms": RETRY_WAIT_MS,
    }


def _has_versions(registry: SchemaRegistryClient, subject: str) -> bool:
    try:
        return bool(registry.get_versions(subject))
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            return False
        raise


def _failed(url: str, expected: str, got: str) -> RegistryError:
    return RegistryError(
        "the schema could not be registered, and nothing was sent",
        expected=expected,
        got=got,
        where=f"schema registry {url}",
        todo="look at the registry's container and its logs (service schema-registry of the compose stack) and "
        "check SCHEMA_REGISTRY_URL; then materialize again",
    )
