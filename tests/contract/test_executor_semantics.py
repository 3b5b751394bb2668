"""A run whose steps go side by side differs from one of Dagster's in-process executor in nothing but its order.

The same jobs are executed by both executors, on both storages; the in-process one says what is right.
"""

import collections
import contextlib
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import docker
import executor_jobs
import pytest
from contract_steps import wait_until
from executor_jobs import DONE, reconstructable

from drayage import SettingsError

SAME = [
    "mapping",
    "retries",
    "skips",
    "hooks",
    "pools",
    "tagged",
    "shared_resource",
    "base_exception",
    "asynchronous",
    "priority",
    "outputs",
    "assets",
    "parts",
]


@contextlib.contextmanager
def postgresql() -> Iterator[Mapping[str, Any]]:
    """Start the stack's PostgreSQL with an empty database, and yield Dagster's settings for it."""
    engine = docker.from_env()
    names = ("POSTGRES", "DAGSTER_POSTGRES", "CATALOG_POSTGRES", "REGISTRY_POSTGRES")
    environment = {f"{name}_PASSWORD": secrets.token_hex(8) for name in names}
    container = engine.containers.run(
        "drayage/postgres", detach=True, environment=environment, ports={"5432/tcp": ("127.0.0.1", None)}
    )
    try:
        container.reload()
        port = int(container.ports["5432/tcp"][0]["HostPort"])
        wait_until(lambda: _is_ready(container, port), what="PostgreSQL")
        yield {
            "hostname": "127.0.0.1",
            "port": port,
            "db_name": "dagster",
            "username": "dagster",
            "password": environment["DAGSTER_POSTGRES_PASSWORD"],
            "scheme": "postgresql+psycopg2",
        }
    finally:
        container.remove(force=True, v=True)
        engine.close()


def _is_ready(container: Any, port: int) -> bool:
    container.reload()
    assert container.status == "running", container.logs().decode()
    # Its own socket answers while the roles are set up; the network does afterwards.
    asked = container.exec_run(["pg_isready", "--quiet", "--host", "127.0.0.1"])
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return bool(asked.exit_code == 0)
    return False


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.engine)],
    ids=["sqlite", "postgresql"],
)
def storage(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Any]]:
    if request.param == "sqlite":
        yield {}
        return
    with postgresql() as settings:
        yield {"storage": {"postgres": {"postgres_db": dict(settings)}}}


@pytest.fixture
def instance(storage: Mapping[str, Any], tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    pools = {"concurrency": {"pools": {"granularity": "op", "default_limit": 2}}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={**storage, **pools}) as instance:
        yield instance


def execute(instance: dg.DagsterInstance, name: str, executor: str = "container", **arguments: Any) -> str:
    """Execute a job, and return the run's id."""
    DONE.clear()
    given = {"raise_on_error": False, **arguments}
    return dg.execute_job(reconstructable(name, executor), instance=instance, **given).run_id


def events(instance: dg.DagsterInstance, run_id: str) -> list[tuple[float, dg.DagsterEvent]]:
    return [(it.timestamp, it.dagster_event) for it in instance.all_logs(run_id) if it.dagster_event is not None]


def by_step(instance: dg.DagsterInstance, run_id: str) -> dict[str, list[str]]:
    """Return the types of each step's events, in their order."""
    found = collections.defaultdict(list)
    for _, event in events(instance, run_id):
        if event.step_key is not None:
            found[event.step_key].append(event.event_type_value)
    return dict(found)


def most_at_once(instance: dg.DagsterInstance, run_id: str, prefix: str) -> int:
    """Return how many steps with a key that begins like this were executed at the same time, at most."""
    changes = []
    for at_s, event in events(instance, run_id):
        if (event.step_key or "").startswith(prefix):
            if event.is_step_start:
                changes.append((at_s, 1))
            elif event.is_step_success or event.is_step_failure:
                changes.append((at_s, -1))
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize("name", SAME)
def test_each_step_has_the_events_that_it_has_in_process(instance: dg.DagsterInstance, name: str) -> None:
    arguments = {"tags": {"dagster/partition": "a"}} if name == "parts" else {}
    expected, got = (execute(instance, name, executor, **arguments) for executor in executor_jobs.EXECUTORS)
    assert _without_waits(by_step(instance, got)) == _without_waits(by_step(instance, expected))
    assert instance.get_run_by_id(got).status == instance.get_run_by_id(expected).status  # type: ignore[union-attr]
    statuses = [
        {it.step_key: (it.status, it.attempts) for it in instance.get_run_step_stats(run_id)}
        for run_id in (got, expected)
    ]
    assert statuses[0] == statuses[1]
    last = events(instance, got)[-1][1]
    assert last.event_type_value in ("PIPELINE_SUCCESS", "PIPELINE_FAILURE")


def _without_waits(found: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Leave out that a step waits for its pool, which happens to none if they come one after the other."""
    return {key: [it for it in kinds if it != "ENGINE_EVENT"] for key, kinds in found.items()}


def test_steps_go_side_by_side_and_values_reach_the_steps_below(instance: dg.DagsterInstance) -> None:
    with dg.execute_job(reconstructable("mapping", "container"), instance=instance) as result:
        assert result.output_for_node("total") == 2 * sum(range(12))
    assert most_at_once(instance, result.run_id, "double") > 1


def test_nothing_starts_before_the_hooks_of_the_step_above_are_done(instance: dg.DagsterInstance) -> None:
    execute(instance, "hooks")
    assert DONE.index(("success", "fine")) < DONE.index(("step", "notes"))
    assert ("failure", "boom") in DONE


def test_a_pool_admits_as_many_steps_as_it_has_slots(instance: dg.DagsterInstance) -> None:
    run_id = execute(instance, "pools")
    assert most_at_once(instance, run_id, "pooled") == 2
    assert not instance.event_log_storage.get_concurrency_info("lab").active_run_ids
    assert any("blocked" in (event.message or "") for _, event in events(instance, run_id))


def test_tags_limit_how_many_steps_go_side_by_side(instance: dg.DagsterInstance) -> None:
    assert most_at_once(instance, execute(instance, "tagged"), "heavy") == 2


def test_of_the_ready_steps_the_one_with_the_highest_priority_is_first(instance: dg.DagsterInstance) -> None:
    run_id = execute(instance, "priority")
    assert [("priority", name) for name in ("high", "middle", "low")] == DONE
    assert most_at_once(instance, run_id, "") == 1


def test_a_step_below_an_early_output_need_not_wait_for_the_late_one(instance: dg.DagsterInstance) -> None:
    order = [event.step_key for _, event in events(instance, execute(instance, "outputs")) if event.is_step_success]
    assert order == ["below_early", "early_and_late", "take"]


def test_resources_are_set_up_once_for_all_steps(instance: dg.DagsterInstance) -> None:
    execute(instance, "shared_resource")
    assert [what for _, what in DONE] == ["set up", *["used"] * 8, "torn down"]


def test_a_step_that_is_tried_again_waits_as_long_as_it_asked_for(instance: dg.DagsterInstance) -> None:
    found = events(instance, execute(instance, "retries"))
    again = [at_s for at_s, event in found if event.step_key == "flaky" and event.is_step_restarted]
    asked = [at_s for at_s, event in found if event.step_key == "flaky" and event.is_step_up_for_retry]
    assert len(again) == len(asked) == 2
    assert all(later - earlier >= 0.3 for earlier, later in zip(asked, again, strict=True))


def test_a_retry_from_failure_does_what_is_left(instance: dg.DagsterInstance) -> None:
    failed = execute(instance, "hooks")
    options = dg.ReexecutionOptions.from_failure(failed, instance)
    assert set(by_step(instance, execute(instance, "hooks", reexecution_options=options))) == {"boom"}


def test_a_partition_is_known_to_its_step(instance: dg.DagsterInstance) -> None:
    run_id = execute(instance, "parts", tags={"dagster/partition": "a"})
    (made,) = [event for _, event in events(instance, run_id) if event.is_step_materialization]
    assert (made.partition, made.step_materialization_data.materialization.metadata["key"].value) == ("a", "a")


def test_the_first_error_ends_the_run_for_who_asks_for_it(instance: dg.DagsterInstance) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        execute(instance, "hooks", raise_on_error=True)
    assert instance.get_runs(limit=1)[0].status == dg.DagsterRunStatus.FAILURE


def test_logs_belong_to_their_step(instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        run_id = execute(instance, "talk")
    manager, steps, rest = instance.compute_log_manager, {}, []
    for _, event in events(instance, run_id):
        if event.event_type_value == "LOGS_CAPTURED":
            captured: Any = event.event_specific_data
            key = manager.build_log_key_for_run(run_id, captured.file_key)
            assert manager.is_capture_complete(key)
            text = manager.get_log_data(key)
            if captured.step_keys:
                (step,) = captured.step_keys
                steps[step] = text
            else:
                rest.append(text)
    assert sorted(steps) == sorted(f"talks_{number}" for number in range(8))
    for step, text in steps.items():
        out = (text.stdout or b"").decode().splitlines()
        assert sorted(out) == sorted(
            [*(f"out {step} {n}" for n in range(20)), f"out {step} thread", f"out {step} child"]
        )
        errors = [line for line in (text.stderr or b"").decode().splitlines() if line.startswith("err ")]
        assert errors == [f"err {step} {number}" for number in range(20)]
    (whole,) = rest
    lines = collections.Counter((whole.stdout or b"").decode().splitlines())
    assert lines["stray"] == 8
    assert sum(count for line, count in lines.items() if line.startswith("child ")) == 8
    assert not [line for line in lines if line.startswith("out ")]


def test_log_records_belong_to_their_step_and_come_once(instance: dg.DagsterInstance) -> None:
    run_id = execute(instance, "talk")
    counts: collections.Counter[tuple[str, str | None]] = collections.Counter()
    for entry in instance.all_logs(run_id):
        kind, *rest = (entry.user_message or "").split()
        if kind in ("own", "python"):
            counts[kind, entry.step_key] += 1
            assert rest[0] in (entry.step_key, "stray")
    steps = [f"talks_{number}" for number in range(8)]
    assert counts == {**{(kind, step): 20 for kind in ("own", "python") for step in steps}, ("python", None): 8}


def test_fewer_than_one_step_at_a_time_is_refused(instance: dg.DagsterInstance) -> None:
    with pytest.raises(SettingsError, match="expected 1 or more, got 0"):
        execute(instance, "none_at_a_time", raise_on_error=True)


def test_code_that_is_materialized_in_a_test_uses_dagsters_own_executor() -> None:
    """``docs/own-project.md`` says so."""
    result = dg.materialize([executor_jobs.beside, executor_jobs.many])
    messages = [event.message or "" for event in result.all_events]
    assert any("in process" in message for message in messages)
    assert not any("side by side" in message for message in messages)
