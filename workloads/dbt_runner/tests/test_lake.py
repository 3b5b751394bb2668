"""The check of the catalog and the object store before dbt is loaded."""

from pathlib import Path

import pytest

from dbt_runner.errors import CatalogError, LakeError, ObjectStoreError, SourceMissingError
from dbt_runner.lake import require_source
from dbt_runner.settings import Settings
from services import CONFIG, STORE, TABLE, Services

UNREACHABLE = "http://127.0.0.1:1"


def settings_for(catalog: str, store: str) -> Settings:
    """Return settings with these addresses."""
    return Settings(
        iceberg_catalog_uri=catalog,
        iceberg_warehouse="s3://warehouse/",
        s3_endpoint=store,
        s3_region="us-east-1",
        s3_access_key_id="key",
        s3_secret_access_key="secret",  # noqa: S106  a made-up secret
        marts_duckdb_path=Path("marts.duckdb"),
        duckdb_extension_directory=Path(),
        duckdb_memory_limit="1GB",
        duckdb_temp_directory=Path(),
        dbt_project_dir=Path(),
        dbt_profiles_dir=Path(),
        dbt_prepared_path=Path(),
    )


def test_table_is_found_with_its_snapshot(services: Services) -> None:
    """A store that refuses an unsigned request counts as working."""
    source = require_source(settings_for(services.url + "/", services.url))
    assert (source.name, source.snapshot_id) == ("silver.cleaned_trips", 42)


def test_catalogs_prefix_is_part_of_the_requests(services: Services) -> None:
    """Polaris and Lakekeeper keep each warehouse under its own prefix."""
    services.answers[CONFIG] = (200, {"overrides": {"prefix": "main"}})
    services.answers["/v1/main/namespaces/silver/tables/cleaned_trips"] = services.answers.pop(TABLE)
    assert require_source(settings_for(services.url, services.url)).snapshot_id == 42


def test_table_without_a_commit_has_no_snapshot(services: Services) -> None:
    """If no month had a valid trip, silver may never have committed."""
    services.answers[TABLE] = (200, {"metadata": {"current-snapshot-id": -1}})
    assert require_source(settings_for(services.url, services.url)).snapshot_id is None


def test_catalog_that_is_down_is_named_with_its_address(services: Services) -> None:
    """The message is clearer than DuckDB's."""
    with pytest.raises(CatalogError, match=f"catalog at {UNREACHABLE} does not answer .connection refused"):
        require_source(settings_for(UNREACHABLE, services.url))


def test_name_that_does_not_resolve_is_reported(services: Services) -> None:
    """In the containers' network the name of a stopped service does not resolve."""
    with pytest.raises(CatalogError, match=r"nowhere\.invalid:8181 does not answer .its name does not resolve"):
        require_source(settings_for("http://nowhere.invalid:8181", services.url))


def test_store_that_is_down_is_named_though_the_catalog_answers(services: Services) -> None:
    """A catalog whose store is down answers late for a table, so the store is checked first."""
    del services.answers[TABLE]
    with pytest.raises(ObjectStoreError, match=f"object store at {UNREACHABLE} does not answer"):
        require_source(settings_for(services.url, UNREACHABLE))


@pytest.mark.parametrize(
    ("path", "answer", "error", "expected"),
    [
        (
            TABLE,
            (404, {"error": {"type": "NoSuchTableException"}}),
            SourceMissingError,
            "no table silver.cleaned_trips",
        ),
        (TABLE, (500, "broken"), CatalogError, "with 500 'broken'"),
        (CONFIG, (200, "<html>"), CatalogError, "expected an Iceberg REST catalog's JSON"),
        (CONFIG, (404, "not here"), CatalogError, "ICEBERG_CATALOG_URI"),
        (STORE, (503, "starting"), ObjectStoreError, "answered 503"),
    ],
)
def test_each_wrong_answer_raises_its_own_error(
    services: Services, path: str, answer: tuple[int, object], error: type[LakeError], expected: str
) -> None:
    """Each has a different remedy."""
    services.answers[path] = answer
    with pytest.raises(error, match=expected):
        require_source(settings_for(services.url, services.url))
