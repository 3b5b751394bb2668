"""The step's settings, from the container's environment and its secret files."""

import os
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dbt_runner.errors import SettingsError

DuckDBConfig = dict[str, str | bool | int | float | list[str]]
"""The options that :func:`duckdb.connect` takes."""

SECRETS_FOLDER = Path("/run/secrets")


class Settings(BaseSettings):
    """Addresses, credentials, paths and limits of one step; nothing has a default.

    Args:
        iceberg_catalog_uri: Root of the Iceberg REST catalog, such as ``http://iceberg-rest:8181``.
        iceberg_warehouse: The warehouse to request from the catalog, such as ``s3://warehouse/``.
        s3_endpoint: Root of the object store, such as ``http://minio:9000``.
        s3_region: Region that requests to the object store are signed for.
        s3_access_key_id: Access key of the object store.
        s3_secret_access_key: Secret key of the object store.
        marts_duckdb_path: The DuckDB file that holds the marts. Set by the image.
        duckdb_extension_directory: Folder with DuckDB's extensions. Set by the image.
        duckdb_memory_limit: Limit of DuckDB's buffers, such as ``1GB``; beyond it DuckDB spills to disk where it can.
            Set by the image.
        duckdb_temp_directory: Folder that DuckDB spills to. Set by the image.
        dbt_project_dir: Folder of ``dbt_project.yml``. Set by the image.
        dbt_profiles_dir: Folder of ``profiles.yml``. Set by the image.
        dbt_prepared_path: Folder of the parsed project that the image's build wrote. Set by the image.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    iceberg_catalog_uri: str = Field(pattern=r"^https?://")
    iceberg_warehouse: str = Field(min_length=1)
    s3_endpoint: str = Field(pattern=r"^https?://")
    s3_region: str = Field(min_length=1)
    s3_access_key_id: SecretStr = Field(min_length=1)
    s3_secret_access_key: SecretStr = Field(min_length=1)
    marts_duckdb_path: Path
    duckdb_extension_directory: Path
    duckdb_memory_limit: str = Field(pattern=r"^[1-9]\d*(\.\d+)? ?[MGT]i?B$")
    duckdb_temp_directory: Path
    dbt_project_dir: Path
    dbt_profiles_dir: Path
    dbt_prepared_path: Path

    @property
    def duckdb_config(self) -> DuckDBConfig:
        """The options to open DuckDB with; ``profiles.yml`` has the same, so that both can share the marts' file."""
        return {
            "extension_directory": str(self.duckdb_extension_directory),
            "memory_limit": self.duckdb_memory_limit,
            "temp_directory": str(self.duckdb_temp_directory),
        }

    def export(self) -> None:
        """Write every setting into this process's environment, where ``profiles.yml`` reads it.

        This includes settings from secret files: only this process sees them there, not ``docker inspect``.
        """
        for name in type(self).model_fields:
            value = getattr(self, name)
            os.environ[name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def load_settings(secrets_folder: Path = SECRETS_FOLDER) -> Settings:
    """Read the settings from the environment, and those it lacks from files of the same name.

    Args:
        secrets_folder: Folder of files such as ``s3_secret_access_key``; may be missing.

    Returns:
        The settings.

    Raises:
        SettingsError: Some are missing or malformed; the message names all of them.
    """
    try:
        return Settings(_secrets_dir=secrets_folder if secrets_folder.is_dir() else None)  # type: ignore[call-arg]  # the fields come from the environment
    except ValidationError as error:
        problems = ", ".join(f"{str(item['loc'][0]).upper()} ({item['msg'].lower()})" for item in error.errors())
        raise SettingsError(
            f"The dbt_runner container's environment is incomplete: {problems}. Expected each as an environment "
            f"variable or as a file in {secrets_folder}. Pass them to the container where the host starts it."
        ) from error
