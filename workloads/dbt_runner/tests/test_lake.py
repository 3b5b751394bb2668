"""The catalog and the object store, asked before dbt is loaded."""

from pathlib import Path

import pytest

from dbt_runner.errors import CatalogError, LakeError, ObjectStoreError, SourceMissingError
from dbt_runner.lake import require_source
from dbt_runner.settings import Settings
from services import CONFIG, STORE, TABLE, Services

NOBODY = "http://127.0.0.1:1"


def settings_for(catalog: str, store: str) -> Settings:
    """Give settings with these addresses."""
    return Settings(
        iceberg_catalog_uri=catalog,
        iceberg_warehouse="s3://warehouse/",
        s3_endpoint=store,
        s3_region="us-east-1",
        s3_access_key_id="key",
        s3_secret_access_key="secret",  # noqa: S106  nobody's
        marts_duckdb_path=Path("marts.duckdb"),
        duckdb_extension_directory=Path(),
        duckdb_memory_limit="1GB",
        duckdb_temp_directory=Path(),
        dbt_project_dir=Path(),
        dbt_profiles_dir=Path(),
        dbt_baked_path=Path(),
    )


def test_table_is_found_with_its_snapshot(services: Services) -> None:
    """A store that refuses an unsigned request works."""
    source = require_source(settings_for(services.url + "/", services.url))
    assert (source.name, source.snapshot_id) == ("silver.cleaned_trips", 42)


def test_catalog_that_names_a_prefix_is_asked_with_it(services: Services) -> None:
    """Polaris and Lakekeeper keep each warehouse under a prefix of its own."""
    services.answers[CONFIG] = (200, {"overrides": {"prefix": "main"}})
    services.answers["/v1/main/namespaces/silver/tables/cleaned_trips"] = services.answers.pop(TABLE)
    assert require_source(settings_for(services.url, services.url)).snapshot_id == 42


def test_table_without_a_commit_has_no_snapshot(services: Services) -> None:
    """Silver of a month without a valid trip may never have committed."""
    services.answers[TABLE] = (200, {"metadata": {"current-snapshot-id": -1}})
    assert require_source(settings_for(services.url, services.url)).snapshot_id is None


def test_catalog_that_is_down_is_named_with_its_address(services: Services) -> None:
    """Nobody should have to read DuckDB's words for it."""
    with pytest.raises(CatalogError, match=f"catalog at {NOBODY} does not answer .connection refused"):
        require_source(settings_for(NOBODY, services.url))


def test_name_that_does_not_resolve_is_told(services: Services) -> None:
    """In the containers' network a stopped service has no name."""
    with pytest.raises(CatalogError, match=r"nowhere\.invalid:8181 does not answer .its name does not resolve"):
        require_source(settings_for("http://nowhere.invalid:8181", services.url))


def test_store_that_is_down_is_named_though_the_catalog_answers(services: Services) -> None:
    """A catalog whose store is down answers late for a table: the store is asked before."""
    del services.answers[TABLE]
    with pytest.raises(ObjectStoreError, match=f"object store at {NOBODY} does not answer"):
        require_source(settings_for(services.url, NOBODY))


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
def test_wrong_answer_is_told_from_the_others(
    services: Services, path: str, answer: tuple[int, object], error: type[LakeError], expected: str
) -> None:
    """Each has another remedy."""
    services.answers[path] = answer
    with pytest.raises(error, match=expected):
        require_source(settings_for(services.url, services.url))
