"""The step's settings, parsed once from the environment, secret files and the Pipes context."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flink_submit.errors import SettingsError

SECRETS_DIRECTORY = Path("/run/secrets")

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

_Settings = TypeVar("_Settings", bound=BaseSettings)
_Extras = TypeVar("_Extras", bound=BaseModel)


class LakeSettings(BaseSettings):
    """The addresses and credentials that every step needs; each field is read from the variable of its name.

    Args:
        flink_sql_gateway_url: Root of Flink's SQL Gateway.
        flink_jobmanager_url: Root of Flink's JobManager.
        flink_ui_url: Root of Flink's UI, for links only.
        iceberg_catalog_uri: Root of the Iceberg REST catalog.
        iceberg_warehouse: The warehouse to request from the catalog.
        s3_endpoint: Root of the object store.
        s3_region: Region that requests to the object store are signed for.
        s3_access_key_id: Access key of the object store.
        s3_secret_access_key: Secret key of the object store.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    flink_sql_gateway_url: str
    flink_jobmanager_url: str
    flink_ui_url: str
    iceberg_catalog_uri: str
    iceberg_warehouse: str
    s3_endpoint: str
    s3_region: str
    s3_access_key_id: SecretStr
    s3_secret_access_key: SecretStr

    def catalog_values(self) -> dict[str, str]:
        """Return the values for ``catalog.sql``; Flink has the credentials in its own environment."""
        return {
            "catalog_uri": self.iceberg_catalog_uri,
            "warehouse": self.iceberg_warehouse,
            "s3_endpoint": self.s3_endpoint,
            "s3_region": self.s3_region,
        }


class SilverSettings(LakeSettings):
    """The settings of ``silver``, which also needs the broker.

    Args:
        kafka_bootstrap_servers: Address of the broker, ``host:port``.
    """

    kafka_bootstrap_servers: str


class BronzeSettings(SilverSettings):
    """The settings of ``bronze``, which also needs the schema registry.

    Args:
        schema_registry_url: Root of the schema registry.
    """

    schema_registry_url: str


class TopicExtras(BaseModel):
    """The Pipes extras of ``bronze`` and ``silver``.

    Args:
        topic: Name of the topic of trips.
        versions_topic: Name of the topic of month versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    topic: str
    versions_topic: str


class ExpireExtras(BaseModel):
    """The Pipes extras of ``expire``.

    Args:
        older_than_days: Age from which snapshots expire, in days.
        keep_snapshots: Ids of snapshots that stay whatever their age.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    older_than_days: float = Field(gt=0)
    # Text, because JSON readers may lose digits of such large numbers.
    keep_snapshots: list[str]


def load_settings(model: type[_Settings]) -> _Settings:
    """Read the settings from the environment, and those it lacks from files in ``/run/secrets``.

    Args:
        model: The settings to read.

    Returns:
        An instance of ``model``.

    Raises:
        SettingsError: Some are missing or wrong; the message names all of them.
    """
    try:
        return model(_secrets_dir=SECRETS_DIRECTORY if SECRETS_DIRECTORY.is_dir() else None)
    except ValidationError as error:
        names = ", ".join(sorted(str(fault["loc"][0]).upper() for fault in error.errors()))
        raise SettingsError(
            f"Settings are missing or wrong: {names}. Expected each as an environment variable, or as a file of its "
            f"lower-case name in {SECRETS_DIRECTORY}. Set them where the host starts this image."
        ) from error


def parse_extras(model: type[_Extras], extras: Mapping[str, Any]) -> _Extras:
    """Parse the Pipes extras of a command.

    Args:
        model: The extras that the command expects.
        extras: The extras from the Pipes context.

    Returns:
        An instance of ``model``.

    Raises:
        SettingsError: An extra is missing, unknown or of the wrong type.
    """
    try:
        return model.model_validate(dict(extras))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
        raise SettingsError(
            f"The Pipes extras are wrong: {faults}. Expected the keys {sorted(model.model_fields)}, got "
            f"{sorted(extras)}. Correct the extras in the asset that starts this step."
        ) from error


def parse_month(partition_key: str | None) -> str:
    """Parse the partition key.

    Args:
        partition_key: The step's partition key; None if it has none.

    Returns:
        The month, ``yyyy-MM``.

    Raises:
        SettingsError: There is no partition key, or it is not a month.
    """
    if partition_key is not None and _MONTH.fullmatch(partition_key):
        return partition_key
    raise SettingsError(
        f"The step needs one month as its Pipes partition key, such as 2019-01, but got {partition_key!r}. "
        "Materialize a single monthly partition of the asset."
    )
