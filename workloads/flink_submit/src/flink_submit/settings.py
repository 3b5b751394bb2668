"""The step's settings: environment, secret files and Pipes context, parsed once."""

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


class SilverSettings(BaseSettings):
    """Where Flink, the catalog and the object store are; each field is the environment variable of its name."""

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
        """Returns the values of `catalog.sql`; Flink has the credentials in its own environment."""
        return {
            "catalog_uri": self.iceberg_catalog_uri,
            "warehouse": self.iceberg_warehouse,
            "s3_endpoint": self.s3_endpoint,
            "s3_region": self.s3_region,
        }


class BronzeSettings(SilverSettings):
    """What bronze needs besides: the broker and the schema registry."""

    kafka_bootstrap_servers: str
    schema_registry_url: str


class BronzeExtras(BaseModel):
    """What the host passes to `bronze` in the Pipes extras."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    topic: str


class ExpireExtras(BaseModel):
    """What the host passes to `expire` in the Pipes extras."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    older_than_days: float = Field(gt=0)
    # Text: JSON's readers may lose digits of such large numbers.
    keep_snapshots: list[str]


def load_settings(model: type[_Settings]) -> _Settings:
    """Reads the settings from the environment and, where they exist, from files in `/run/secrets`.

    Returns:
        An instance of `model`.

    Raises:
        SettingsError: Names every variable that is missing or wrong.
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
    """Checks the Pipes extras of a command.

    Returns:
        An instance of `model`.

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
    """Checks the partition key.

    Returns:
        The month, `yyyy-MM`.

    Raises:
        SettingsError: There is no partition key, or it is no month.
    """
    if partition_key is not None and _MONTH.fullmatch(partition_key):
        return partition_key
    raise SettingsError(
        f"The step needs one month as its Pipes partition key, like 2019-01, and got {partition_key!r}. "
        "Materialize a single monthly partition of the asset."
    )
