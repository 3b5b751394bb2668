"""The container's environment."""

import os
from pathlib import Path

import pytest
import yaml

from dbt_runner.errors import SettingsError
from dbt_runner.settings import load_settings

WORKLOAD = Path(__file__).parents[1]
COMPLETE = {
    "ICEBERG_CATALOG_URI": "http://iceberg-rest:8181",
    "ICEBERG_WAREHOUSE": "s3://warehouse/",
    "S3_ENDPOINT": "http://minio:9000",
    "S3_REGION": "us-east-1",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "MARTS_DUCKDB_PATH": "/var/lib/marts/marts.duckdb",
    "DUCKDB_EXTENSION_DIRECTORY": "/app/duckdb_extensions",
    "DUCKDB_MEMORY_LIMIT": "1GB",
    "DUCKDB_TEMP_DIRECTORY": "/tmp/duckdb",  # noqa: S108  private to the container
    "DBT_PROJECT_DIR": "/app/sql/dbt",
    "DBT_PROFILES_DIR": "/app/sql/dbt",
    "DBT_PREPARED_PATH": "/app/target",
}


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A complete environment."""
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_everything_missing_is_named_at_once(complete: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One attempt should show everything that is missing."""
    complete.delenv("S3_REGION")
    complete.delenv("ICEBERG_CATALOG_URI")
    complete.setenv("S3_ENDPOINT", "minio:9000")
    complete.setenv("DUCKDB_MEMORY_LIMIT", "much")
    with pytest.raises(SettingsError) as failure:
        load_settings(tmp_path)
    for name in ("S3_REGION", "ICEBERG_CATALOG_URI", "S3_ENDPOINT", "DUCKDB_MEMORY_LIMIT"):
        assert name in str(failure.value)


def test_secret_may_come_as_a_file(complete: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file keeps the secret out of ``docker inspect``; dbt's profile reads this process's environment."""
    complete.delenv("S3_SECRET_ACCESS_KEY")
    (tmp_path / "s3_secret_access_key").write_text("from-a-file\n")
    settings = load_settings(tmp_path)
    settings.export()
    assert os.environ["S3_SECRET_ACCESS_KEY"] == "from-a-file"  # noqa: S105  a made-up secret
    assert "from-a-file" not in repr(settings)


def test_folder_of_secrets_may_be_missing(complete: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Most containers have no such folder."""
    complete.setenv("S3_REGION", "eu-west-1")
    assert load_settings(tmp_path / "absent").s3_region == "eu-west-1"


@pytest.mark.parametrize("profiles", ["../../sql/dbt/profiles.yml", "tests/profile/profiles.yml"])
def test_dbt_opens_the_marts_as_this_program_does(
    complete: pytest.MonkeyPatch,  # noqa: ARG001  sets the environment
    tmp_path: Path,
    profiles: str,
) -> None:
    """With different options DuckDB would refuse the second connection."""
    output = yaml.safe_load((WORKLOAD / profiles).read_text())["nyc_taxi"]["outputs"]["lake"]
    written = {name: f"{{{{ env_var('DUCKDB_{name.upper()}') }}}}" for name in load_settings(tmp_path).duckdb_config}
    assert output["config_options"] == written
