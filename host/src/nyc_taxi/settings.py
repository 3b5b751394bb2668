"""What the environment says: image names, and where the workloads find their services.

Both are parsed once, and everything that is missing is reported together.
"""

from pathlib import Path
from urllib.parse import quote

from dagster import MetadataValue
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """The environment lacks settings that a step needs."""


class Images(BaseSettings):
    """The workload images, and what the code location reads out of them."""

    model_config = SettingsConfigDict(env_prefix="TAXI_", frozen=True)

    generator_image: str = "drayage/generator"
    flink_submit_image: str = "drayage/flink-submit"
    dbt_runner_image: str = "drayage/dbt-runner"
    auditor_image: str = "drayage/auditor"
    dbt_manifest: Path | None = Field(
        default=None,
        description=(
            "A manifest file to use in place of the one in the dbt image, for a machine without a "
            "container engine (lint, unit tests). The images are then not looked at."
        ),
    )


class DisplaySettings(BaseSettings):
    """What people see beside the numbers; no step depends on it, and what is not set is not shown."""

    model_config = SettingsConfigDict(frozen=True)

    git_revision: str | None = Field(default=None, description="The revision that the stack was started from.")
    flink_ui_url: str | None = None
    object_store_console_url: str | None = None
    iceberg_catalog_link_url: str | None = Field(default=None, description="The catalog as a browser reaches it.")

    def table_links(self, namespace: str, table: str, *, from_flink: bool = False) -> dict[str, MetadataValue]:
        """Tell the pages about a table of the lake, as an asset's metadata.

        Args:
            namespace: The table's namespace.
            table: Its name.
            from_flink: Whether Flink writes it.

        Returns:
            Those of ``flink_ui``, ``object_store`` and ``table`` whose address is known.
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
    """Addresses and mounts that the steps' containers get; nothing here has a default.

    The addresses are those inside the containers' network: the host itself connects to none of them.
    """

    model_config = SettingsConfigDict(frozen=True)

    kafka_bootstrap_servers: str
    schema_registry_url: str
    flink_sql_gateway_url: str
    flink_jobmanager_url: str
    flink_ui_url: str = Field(description="Only for links that people click.")
    iceberg_catalog_uri: str
    iceberg_warehouse: str
    s3_endpoint: str
    s3_region: str
    taxi_data_dir: Path = Field(description="The engine's path of the folder with the TLC's files.")
    taxi_marts_volume: str = Field(description="The volume that holds the DuckDB file.")


def load_services() -> Services:
    """Read the services' settings from the environment.

    Returns:
        The settings.

    Raises:
        SettingsError: Some are missing or malformed; all of them are named.
    """
    try:
        return Services()  # type: ignore[call-arg]  # the fields come from the environment
    except ValidationError as error:
        problems = ", ".join(
            f"{str(problem['loc'][0]).upper()} ({problem['msg'].lower()})" for problem in error.errors()
        )
        raise SettingsError(
            f"The host's environment lacks settings that the steps need: {problems}. compose.yml sets "
            "them for the host's services, and dagster.yaml's env_vars hands them to the run workers."
        ) from error
