"""Where things are, from the container's environment and its secret files."""

import os
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dbt_runner.errors import SettingsError

DuckDBConfig = dict[str, str | bool | int | float | list[str]]
"""As :func:`duckdb.connect` takes it."""

SECRETS_FOLDER = Path("/run/secrets")


class Settings(BaseSettings):
    """Addresses, credentials, paths and limits of one step; nothing has a default.

    Args:
        iceberg_catalog_uri: Root of the Iceberg REST catalog, such as ``http://iceberg-rest:8181``.
        iceberg_warehouse: The warehouse that the catalog is asked for, such as ``s3://warehouse/``.
        s3_endpoint: Root of the object store, such as ``http://minio:9000``.
        s3_region: Region that requests to the store are signed for.
        s3_access_key_id: Its access key.
        s3_secret_access_key: Its secret key.
        marts_duckdb_path: The DuckDB file that holds the marts. Set by the image.
        duckdb_extension_directory: Folder with DuckDB's extensions. Set by the image.
        duckdb_memory_limit: What DuckDB's buffers may hold, such as ``1GB``; what it can spill goes to disk. Set by
            the image.
        duckdb_temp_directory: Where it spills to. Set by the image.
        dbt_project_dir: Folder of ``dbt_project.yml``. Set by the image.
        dbt_profiles_dir: Folder of ``profiles.yml``. Set by the image.
        dbt_baked_path: Folder with the manifest that the image's build wrote. Set by the image.
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
    dbt_baked_path: Path

    @property
    def duckdb_config(self) -> DuckDBConfig:
        """What DuckDB is opened with; ``profiles.yml`` has the same, or the two could not share the marts' file."""
        return {
            "extension_directory": str(self.duckdb_extension_directory),
            "memory_limit": self.duckdb_memory_limit,
            "temp_directory": str(self.duckdb_temp_directory),
        }

    def export(self) -> None:
        """Put every setting into this process's environment, where ``profiles.yml`` reads it.

        What came from a secret file gets there too: seen by this process alone, not by ``docker inspect``.
        """
        for name in type(self).model_fields:
            value = getattr(self, name)
            os.environ[name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def load_settings(secrets_folder: Path = SECRETS_FOLDER) -> Settings:
    """Read the settings from the environment, and those it lacks from files named like them.

    Args:
        secrets_folder: Folder of files such as ``s3_secret_access_key``; need not exist.

    Returns:
        The settings.

    Raises:
        SettingsError: Some are missing or malformed; all of them are named.
    """
    try:
        return Settings(_secrets_dir=secrets_folder if secrets_folder.is_dir() else None)  # type: ignore[call-arg]  # the fields come from the environment
    except ValidationError as error:
        problems = ", ".join(f"{str(item['loc'][0]).upper()} ({item['msg'].lower()})" for item in error.errors())
        raise SettingsError(
            f"The dbt_runner container's environment is incomplete: {problems}. Expected each as an environment "
            f"variable or as a file in {secrets_folder}. Give them to the container where the host starts it."
        ) from error
