"""The request that ``build`` and ``publish`` read from the Pipes context."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster_pipes import (
    PipesContext,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    PipesMappingParamsLoader,
    encode_param,
)

from dbt_runner.errors import RequestError
from dbt_runner.request import read_publication, read_request

KEYS = {"model.nyc_taxi.fct_trips": "core/fct_trips", "model.nyc_taxi.stg_trips": "staging/stg_trips"}


@contextmanager
def context(tmp_path: Path, extras: dict[str, Any], **changes: Any) -> Iterator[PipesContext]:
    """Open Pipes with a context of one asset and one month, and these changes."""
    data: Any = {
        "asset_keys": ["core/fct_trips"],
        "code_version_by_asset_key": {},
        "provenance_by_asset_key": {},
        "partition_key": "2019-01",
        "partition_key_range": {"start": "2019-01", "end": "2019-01"},
        "partition_time_window": None,
        "run_id": "run",
        "job_name": "job",
        "retry_number": 0,
        "extras": extras,
        **changes,
    }
    parameters = PipesMappingParamsLoader(
        {
            "DAGSTER_PIPES_CONTEXT": encode_param({"data": data}),
            "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(tmp_path / "messages.jsonl")}),
        }
    )
    with PipesContext(parameters, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes:
        yield pipes


def test_month_and_extras_become_the_request(tmp_path: Path) -> None:
    """The month becomes a variable for dbt too, in addition to those of the extras."""
    extras = {"select": ["model.nyc_taxi.fct_trips"], "asset_keys": KEYS, "vars": {"last_date": "2040-12-31"}}
    with context(tmp_path, extras) as pipes:
        request = read_request(pipes)
    assert request.months == ("2019-01",)
    assert request.select == ("model.nyc_taxi.fct_trips",)
    assert request.vars == {"last_date": "2040-12-31", "trip_months": ["2019-01"]}


def test_only_assets_of_the_step_are_reported_on(tmp_path: Path) -> None:
    """Pipes refuses reports on other assets."""
    with context(tmp_path, {"asset_keys": KEYS}) as pipes:
        request = read_request(pipes)
    assert request.reportable_key("model.nyc_taxi.fct_trips") == "core/fct_trips"
    assert request.reportable_key("model.nyc_taxi.stg_trips") is None
    assert request.reportable_key("source.nyc_taxi.lake.cleaned_trips") is None
    assert request.reportable_key(None) is None


def test_step_without_partition_builds_every_month(tmp_path: Path) -> None:
    """Marts without partitions have no month."""
    with context(tmp_path, {"asset_keys": KEYS}, partition_key=None, partition_key_range=None) as pipes:
        request = read_request(pipes)
    assert request.months == ()
    assert request.vars == {"trip_months": []}


def test_step_of_several_partitions_builds_each_month_from_the_first_to_the_last(tmp_path: Path) -> None:
    """A single-run backfill has a range but no key."""
    span = {"start": "2018-11", "end": "2019-02"}
    with context(tmp_path, {"asset_keys": KEYS}, partition_key=None, partition_key_range=span) as pipes:
        request = read_request(pipes)
    assert request.months == ("2018-11", "2018-12", "2019-01", "2019-02")
    assert request.vars == {"trip_months": ["2018-11", "2018-12", "2019-01", "2019-02"]}


TABLES = {
    "marts/fct_trips": {"relation": "core.fct_trips", "by_month": True, "columns": {"trip_id": "Which trip."}},
    "marts/dim_dates": {"relation": "core.dim_dates", "by_month": False, "columns": {}},
}


def test_only_tables_of_the_step_are_published(tmp_path: Path) -> None:
    """The host sends all tables, of which the UI may have selected only one."""
    with context(tmp_path, {"tables": TABLES}, asset_keys=["marts/fct_trips"]) as pipes:
        publication = read_publication(pipes)
    assert publication.months == ("2019-01",)
    assert {key: mart.relation for key, mart in publication.tables.items()} == {"marts/fct_trips": "core.fct_trips"}


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"marts/dim_dates": TABLES["marts/dim_dates"]}, "no mart for assets of the step: marts/fct_trips"),
        (
            {"marts/fct_trips": TABLES["marts/fct_trips"] | {"relation": "core.fct_trips; drop table x"}},
            "match pattern",
        ),
        ({"marts/fct_trips": {"relation": "core.fct_trips"}}, "by_month: Field required"),
    ],
)
def test_publication_that_does_not_fit_is_refused(tmp_path: Path, tables: dict[str, Any], expected: str) -> None:
    """Names become SQL; a table without a mart would stay unchanged, and the step would succeed."""
    with (
        context(tmp_path, {"tables": tables}, asset_keys=["marts/fct_trips"]) as pipes,
        pytest.raises(RequestError, match=expected),
    ):
        read_publication(pipes)


@pytest.mark.parametrize(
    ("extras", "changes", "expected"),
    [
        ({"asset_keys": KEYS}, {"asset_keys": None}, "has no assets"),
        ({}, {}, "asset_keys: Field required"),
        ({"asset_keys": KEYS, "selct": []}, {}, "selct: Extra inputs are not permitted"),
        ({"asset_keys": KEYS, "select": "fct_trips"}, {}, "select: Input should be a valid list"),
        (
            {"asset_keys": KEYS},
            {"partition_key_range": {"start": "2019-01-05", "end": "2019-01-05"}},
            "a month such as",
        ),
        ({"asset_keys": KEYS}, {"partition_key_range": {"start": "2019-01", "end": "2019-13"}}, "'2019-13'"),
    ],
)
def test_context_that_does_not_fit_is_refused(
    tmp_path: Path, extras: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    """A misspelled extra would otherwise build everything, or the wrong month."""
    with context(tmp_path, extras, **changes) as pipes, pytest.raises(RequestError, match=expected):
        read_request(pipes)
