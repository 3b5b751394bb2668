"""The settings in the environment: image names, links for the UI, and the services' addresses.

Each model is parsed once, and all that is missing is reported together.
"""

from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from dagster import MetadataValue
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

_Settings = TypeVar("_Settings", bound=BaseSettings)


class SettingsError(Exception):
    """Settings that a step needs are missing from the environment."""


class Images(BaseSettings):
    """The names of the workload images."""

    model_config = SettingsConfigDict(env_prefix="TAXI_", frozen=True)

    generator_image: str = "drayage/generator"
    flink_submit_image: str = "drayage/flink-submit"
    dbt_runner_image: str = "drayage/dbt-runner"
    auditor_image: str = "drayage/auditor"
    dbt_manifest: Path | None = Field(
        default=None,
        description=(
            "A manifest file to read in place of the one in the dbt image, for a machine without a container engine "
            "(lint, unit tests). The images are not inspected then."
        ),
    )


class DisplaySettings(BaseSettings):
    """What the UI shows beside the numbers: links and the revision. No step needs it; what is not set is not shown."""

    model_config = SettingsConfigDict(frozen=True)

    git_revision: str | None = Field(default=None, description="The Git revision that the stack was started from.")
    flink_ui_url: str | None = None
    object_store_console_url: str | None = None
    iceberg_catalog_link_url: str | None = Field(default=None, description="The catalog's address for browsers.")

    def table_links(self, namespace: str, table: str, *, from_flink: bool = False) -> dict[str, MetadataValue]:
        """Return links to the pages about a table of the lake, as an asset's metadata.

        Args:
            namespace: The table's namespace.
            table: The table's name.
            from_flink: Whether Flink writes the table.

        Returns:
            ``flink_ui``, ``object_store`` and ``table``, without those whose address is not set.
        """
        pages = {
            "flink_ui": self.flink_ui_url if from_flink else None,
            "object_store": self.object_store_console_url
            and f"{self.object_store_console_url}/browser/warehouse/{quote(f'{namespace}/{table}/', safe='')}",
            "table": self.iceberg_catalog_link_url
            and f"{self.iceberg_catalog_link_url}/v1/namespaces/{namespace}/tables/{table}",
        }
        return {name: MetadataValue.url(url) for name, url in pages.items() if url}


class Services(BaseSettings):
    """The addresses and mounts that the steps' containers get. None of them has a default.

    The addresses are valid inside the containers' network. The host itself connects to none of them, but for the sensor
    that looks into the landing zone.
    """

    model_config = SettingsConfigDict(frozen=True)

    kafka_bootstrap_servers: str
    schema_registry_url: str
    flink_sql_gateway_url: str
    flink_jobmanager_url: str
    flink_ui_url: str = Field(description="Only for links in the UI.")
    iceberg_catalog_uri: str
    iceberg_warehouse: str
    s3_endpoint: str
    s3_region: str
    landing_url: str = Field(description="Where the TLC's files are, as in s3://landing/yellow/.")
    taxi_marts_volume: str = Field(description="The volume with the DuckDB file.")


class LandingKeys(BaseSettings):
    """The keys by which the host reads the landing zone."""

    model_config = SettingsConfigDict(frozen=True)

    landing_access_key_id: str
    landing_secret_access_key: SecretStr


def load_services() -> Services:
    """Read the services' settings from the environment.

    Returns:
        The settings.

    Raises:
        SettingsError: Settings are missing or malformed; the error names all of them.
    """
    return _load(Services)


def load_landing_keys() -> LandingKeys:
    """Read the keys of the landing zone from the environment.

    Returns:
        The keys.

    Raises:
        SettingsError: A key is missing.
    """
    return _load(LandingKeys)


def _load(settings: type[_Settings]) -> _Settings:
    try:
        return settings()
    except ValidationError as error:
        problems = ", ".join(
            f"{str(problem['loc'][0]).upper()} ({problem['msg'].lower()})" for problem in error.errors()
        )
        raise SettingsError(
            f"The host's environment lacks settings that the steps need: {problems}. Set them in compose.yml for the "
            "host's services, and list them in dagster.yaml under env_vars, which passes them to the run workers."
        ) from error
