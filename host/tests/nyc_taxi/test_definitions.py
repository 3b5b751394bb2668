import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from manifest_fixture import manifest_json

from drayage.verdict.promises import read_promises
from nyc_taxi.months import FIRST_MONTH
from nyc_taxi.settings import DisplaySettings

HOST = Path(__file__).parents[2]


def test_every_step_depends_on_the_one_before(specs: Mapping[str, dg.AssetSpec]) -> None:
    upstream = {key: {dep.asset_key.to_user_string() for dep in spec.deps} for key, spec in specs.items()}
    assert upstream == {
        "kafka_topics": set(),
        "generate_events": {"kafka_topics"},
        "bronze/raw_trips": {"generate_events"},
        "silver/cleaned_trips": {"bronze/raw_trips"},
        "seeds/payment_types": set(),
        "staging/stg_trips": {"silver/cleaned_trips"},
        "core/fct_trips": {"staging/stg_trips", "seeds/payment_types"},
        "core/dim_payment_types": {"seeds/payment_types"},
        "analytics/daily_revenue": {"core/fct_trips"},
        "marts/fct_trips": {"core/fct_trips"},
        "marts/dim_payment_types": {"core/dim_payment_types"},
        "marts/daily_revenue": {"analytics/daily_revenue"},
        "audit": {
            "bronze/raw_trips",
            "silver/cleaned_trips",
            "marts/fct_trips",
            "marts/dim_payment_types",
            "marts/daily_revenue",
        },
        "throughput": {"generate_events", "bronze/raw_trips", "silver/cleaned_trips", "core/fct_trips"},
        "lake/expired_snapshots": set(),
    }


def test_only_the_assets_without_a_month_are_not_partitioned(specs: Mapping[str, dg.AssetSpec]) -> None:
    whole = {"kafka_topics", "throughput", "lake/expired_snapshots"}
    assert all(specs[key].partitions_def is None for key in whole)
    for spec in (specs[key] for key in specs.keys() - whole):
        assert spec.partitions_def is not None
        assert spec.partitions_def.get_first_partition_key() == FIRST_MONTH


def test_groups_follow_the_layers(specs: Mapping[str, dg.AssetSpec]) -> None:
    groups = {key: spec.group_name for key, spec in specs.items()}
    assert groups == {
        "kafka_topics": "kafka",
        "generate_events": "kafka",
        "bronze/raw_trips": "lake",
        "silver/cleaned_trips": "lake",
        "seeds/payment_types": "staging",
        "staging/stg_trips": "staging",
        "core/fct_trips": "marts",
        "core/dim_payment_types": "marts",
        "analytics/daily_revenue": "marts",
        "marts/fct_trips": "published",
        "marts/dim_payment_types": "published",
        "marts/daily_revenue": "published",
        "audit": "reports",
        "throughput": "reports",
        "lake/expired_snapshots": "maintenance",
    }


def test_every_asset_has_a_description_kinds_an_owner_and_a_layer(specs: Mapping[str, dg.AssetSpec]) -> None:
    """The UI's pages and its search show them."""
    for spec in specs.values():
        assert spec.description
        assert spec.kinds
        assert spec.owners
        assert spec.group_name
        assert spec.tags["layer"]
        assert spec.code_version


def test_every_asset_that_a_container_makes_promises_numbers(specs: Mapping[str, dg.AssetSpec]) -> None:
    """A step without promises would succeed without numbers."""
    assert [key for key, spec in specs.items() if not read_promises(spec.metadata)] == ["throughput"]


def test_tables_link_their_pages(specs: Mapping[str, dg.AssetSpec]) -> None:
    metadata = specs["silver/cleaned_trips"].metadata
    assert {name: metadata[name].value for name in ("flink_ui", "object_store", "table")} == {
        "flink_ui": "http://127.0.0.1:8081",
        "object_store": "http://127.0.0.1:9001/browser/warehouse/silver%2Fcleaned_trips%2F",
        "table": "http://127.0.0.1:8181/v1/namespaces/silver/tables/cleaned_trips",
    }
    published = specs["marts/fct_trips"].metadata
    assert published["table"].value == "http://127.0.0.1:8181/v1/namespaces/marts/tables/fct_trips"
    assert published["object_store"].value == "http://127.0.0.1:9001/browser/warehouse/marts%2Ffct_trips%2F"
    assert "flink_ui" not in published, "DuckDB writes it"


def test_pages_without_an_address_are_not_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLINK_UI_URL", "OBJECT_STORE_CONSOLE_URL", "ICEBERG_CATALOG_LINK_URL"):
        monkeypatch.delenv(name, raising=False)
    assert DisplaySettings().table_links("silver", "cleaned_trips", from_flink=True) == {}


def test_numbers_that_the_ui_plots_are_promised_under_their_fixed_names(specs: Mapping[str, dg.AssetSpec]) -> None:
    promised = {key: set(read_promises(spec.metadata)) for key, spec in specs.items()}
    assert {"events_produced", "events_acknowledged", "events_per_second"} <= promised["generate_events"]
    assert {"rows_read", "rows_written", "rows_per_second", "dagster/row_count"} <= promised["bronze/raw_trips"]
    version = {"source", "source_version", "source_name"}
    assert {
        "rows_read",
        "rows_written",
        "rows_superseded",
        "rows_rounded",
        "rows_without_vendor",
    } | version <= promised["silver/cleaned_trips"]
    assert {"events_resumed", "events_in_version", "unknown_columns"} | version <= promised["generate_events"]
    assert {"rows_superseded"} | version <= promised["audit"]
    assert {"rows_undecodable", "records_missing", "rows_repeated"} <= promised["bronze/raw_trips"]
    assert {"execution_s", "rows_per_second", "dagster/row_count", "dbt_unique_id"} <= promised["core/fct_trips"]
    assert {"dagster/column_schema", "dagster/column_lineage"} <= promised["core/fct_trips"]
    assert {"rows_written", "rows_per_second", "snapshot_id", "dagster/table_name"} <= promised["marts/fct_trips"]
    assert {"records_audited", "rows_per_second", "rows_in_bronze", "checks_failed"} <= promised["audit"]


def test_a_rebuilt_image_changes_the_code_version_of_its_own_assets(specs: Mapping[str, dg.AssetSpec]) -> None:
    assert specs["generate_events"].code_version == "sha256:aaaa"
    assert specs["silver/cleaned_trips"].code_version == "sha256:bbbb"
    assert specs["audit"].code_version == "sha256:dddd"
    # The version of a model is that of its SQL: a change elsewhere in the image leaves it fresh.
    assert specs["core/fct_trips"].code_version == "sum-of-fct_trips"


def test_the_pipeline_job_holds_every_asset_but_maintenance_and_runs_in_one_process(
    definitions: dg.Definitions,
) -> None:
    job = definitions.resolve_job_def("taxi_pipeline")
    maintenance = definitions.resolve_job_def("expire_snapshots").asset_layer.selected_asset_keys
    every = {spec.key for spec in definitions.resolve_all_asset_specs()}
    assert job.asset_layer.selected_asset_keys == every - maintenance
    assert maintenance == {dg.AssetKey(["lake", "expired_snapshots"])}
    assert job.executor_def.name == "container"


def test_nothing_but_the_throughput_goes_beside_a_step_of_its_month(definitions: dg.Definitions) -> None:
    """The others follow each other in every executor; the throughput only reads Dagster's own records."""
    above = dict(create_execution_plan(definitions.resolve_job_def("taxi_pipeline")).get_all_step_deps())
    for _ in above:
        above = {step: direct.union(*(above[each] for each in direct)) for step, direct in above.items()}
    beside = {
        frozenset((one, other))
        for one, other in itertools.combinations(above, 2)
        if one not in above[other] and other not in above[one]
    }
    assert beside == {frozenset(("throughput", each)) for each in ("publish_marts", "audit")}


def test_the_smaller_jobs_divide_the_pipeline_without_overlap(definitions: dg.Definitions) -> None:
    parts = [
        definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        for name in ("create_topics", "generate", "process", "build_marts", "audit_month", "compare_throughput")
    ]
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == 14


def test_every_job_sets_up_the_resource_that_tags_its_runs(definitions: dg.Definitions) -> None:
    jobs = definitions.resolve_all_job_defs()
    assert len(jobs) > 5
    assert [job.name for job in jobs if "services" not in job.required_resource_keys] == []


def test_bronze_and_duckdb_admit_one_step_at_a_time(definitions: dg.Definitions) -> None:
    pools = {name: definitions.resolve_job_def("taxi_pipeline").get_node_named(name).definition.pool for name in _STEPS}
    assert pools == {
        "generate_events": None,
        "bronze__raw_trips": "bronze",
        "silver__cleaned_trips": None,
        "dbt_build": "duckdb",
        "publish_marts": "duckdb",
        "audit": None,
    }


_STEPS = ("generate_events", "bronze__raw_trips", "silver__cleaned_trips", "dbt_build", "publish_marts", "audit")


def test_several_months_of_marts_are_one_run(definitions: dg.Definitions) -> None:
    """Dbt builds a range of months in one container; the steps before it take one month each."""
    graph = definitions.resolve_asset_graph()
    policies = {key.to_user_string(): graph.get(key).backfill_policy for key in graph.get_all_asset_keys()}
    single = {key for key, policy in policies.items() if policy == dg.BackfillPolicy.single_run()}
    assert single == {key for key in policies if key.split("/")[0] not in _ONE_MONTH_A_RUN}


_ONE_MONTH_A_RUN = ("kafka_topics", "generate_events", "bronze", "silver", "audit", "throughput", "lake")


def test_checks_that_can_fail_block_and_those_that_warn_do_not(definitions: dg.Definitions) -> None:
    """What is built from a wrong mart would be wrong too."""
    graph = definitions.resolve_asset_graph()
    blocking = {key.name: graph.get_check_spec(key).blocking for key in graph.asset_check_keys}
    warning = {name for name, blocks in blocking.items() if not blocks}
    assert warning == {
        "no_day_without_trips",
        "every_record_decodable",
        "known_columns_only",
        "every_row_has_a_vendor",
        "amounts_are_whole_cents",
    }
    assert "rejected_share" in blocking
    assert "published_rows_are_the_marts" in blocking


def test_dg_finds_the_code_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People inspect a Dagster project with `dg`, which must work in host/ as it is."""
    pytest.importorskip("dagster_dg_cli")
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(manifest_json())
    monkeypatch.setenv("TAXI_DBT_MANIFEST", str(manifest))
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    listed = subprocess.run(  # noqa: S603  # our own tool, in our own environment
        [Path(sys.executable).with_name("dg"), "list", "defs", "--json"],
        cwd=HOST,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert "silver/cleaned_trips" in listed.stdout
