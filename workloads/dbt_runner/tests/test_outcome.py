"""The verdict on a build."""

import pytest

from dbt_runner.errors import BuildFailedError
from dbt_runner.outcome import Kind, NodeOutcome, require_all_good, summarize


def outcome(name: str, kind: Kind, status: str, *, failing_rows: int = 0, message: str = "") -> NodeOutcome:
    """Return an outcome with default values for the other fields."""
    subject = "fct_trips" if kind == "test" else ""
    return NodeOutcome(name, name, kind, status, 0.1, failing_rows, message, subject, f"models/{name}.sql")


def test_warnings_leave_the_step_green() -> None:
    """Odd records do not mean that the pipeline is wrong."""
    require_all_good([outcome("a", "model", "success"), outcome("b", "test", "warn", failing_rows=8)], "2019-01")


def test_every_failure_is_named_in_one_line() -> None:
    """A reader should learn of all failures at once."""
    outcomes = [
        outcome("unique_trip", "test", "fail", failing_rows=1234),
        outcome("not_null_trip", "test", "error", message="no such column"),
        outcome("stg_trips", "model", "error", message="Binder Error: what"),
        outcome("fct_trips", "model", "skipped"),
        outcome("late_test", "test", "skipped"),
    ]
    with pytest.raises(BuildFailedError) as failure:
        require_all_good(outcomes, "2019-01")
    message = str(failure.value)
    assert message.startswith("dbt build of 2019-01 failed: test unique_trip on fct_trips: 1,234 failing rows (models/")
    assert "test not_null_trip on fct_trips: no such column" in message
    assert "model stg_trips: Binder Error: what" in message
    assert "Skipped because of that: fct_trips." in message
    assert "late_test" not in message
    assert "\n" not in message


def test_long_list_of_skipped_models_is_cut() -> None:
    """The failures are more important."""
    skipped = [outcome(f"model_{number}", "model", "skipped") for number in range(20)]
    with pytest.raises(BuildFailedError, match="model_7 and others"):
        require_all_good([outcome("first", "model", "error", message="x"), *skipped], "2019-01")


def test_summary_counts_by_outcome_and_kind() -> None:
    """This is the last line of a run's log."""
    outcomes = [
        outcome("a", "model", "success"),
        outcome("b", "test", "pass"),
        outcome("c", "test", "warn"),
        outcome("d", "test", "fail"),
        outcome("e", "seed", "skipped"),
    ]
    assert summarize(outcomes) == "2 passed, 1 warned, 1 failed, 1 skipped (models: 1, seeds: 1, tests: 3)"


def test_lack_of_memory_is_not_blamed_on_the_sql() -> None:
    """A change of the SQL would not help."""
    lack = outcome("fct_trips", "model", "error", message="Runtime Error Out of Memory Error: failed to allocate data")
    with pytest.raises(BuildFailedError, match=r"Free space .* DUCKDB_MEMORY_LIMIT"):
        require_all_good([lack], "2019-01")
