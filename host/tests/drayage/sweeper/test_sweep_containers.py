"""Which containers the sweeper stops and removes, and whose it never touches."""

import os
import signal
import time
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pytest
from swept_deployment import Swept

from drayage.dagster_internals import instance_id
from drayage.dagster_internals.run_tags import name_container
from drayage.errors import EngineError
from drayage.exchange.owner_lock import lock_attempt
from drayage.exchange.process_lock import own_process
from drayage.identity import DEPLOYMENT, FORWARD, INSTANCE, KEEP, KEEP_S, STANDBY, STANDBY_S
from drayage.sweeper.runs import Runs


def test_a_container_of_an_ended_run_is_stopped_and_later_removed(swept: Swept) -> None:
    container = swept.container(swept.run(), program="works")
    assert swept.sweep().stopped == [container]
    assert swept.sweep().removed == [container]
    assert swept.engine.containers == {}


def test_a_container_stays_while_its_run_can_still_be_retried(swept: Swept) -> None:
    """The retry adopts it."""
    working, ended = (swept.container(swept.run(), program=program) for program in ("works", "ends"))
    report = swept.sweep(orphan_grace_s=3600.0)
    assert (report.stopped, report.removed) == ([], [])
    assert {working, ended} == swept.engine.containers.keys()


def test_a_replay_outlives_its_run(swept: Swept) -> None:
    swept.container(swept.run(), program="works", **{FORWARD: "false"})
    assert swept.sweep().stopped == []


def test_one_on_standby_does_not_outlive_its_run(swept: Swept) -> None:
    """Its step never started, so nothing of it is left to run on purpose."""
    run = swept.run()
    container = swept.container(run, program="works", **{FORWARD: "false"})
    os.mkfifo(swept.attempt(run).context)
    assert swept.sweep().stopped == [container]
    assert swept.sweep().removed == [container]


@pytest.mark.parametrize("ended", [True, False])
def test_a_container_that_never_started_is_not_kept_for_inspection(swept: Swept, *, ended: bool) -> None:
    container = swept.container(swept.run(ended=ended), is_started=False, **{KEEP_S: "1e12"})
    assert swept.sweep().removed == ([container] if ended else [])


@pytest.mark.parametrize(("keep", "goes"), [("always", False), ("on_failure", True)])
def test_a_green_container_is_kept_only_if_it_always_is(swept: Swept, keep: str, *, goes: bool) -> None:
    run = swept.run()
    container = swept.container(run, **{KEEP: keep, KEEP_S: "1e9"})
    swept.attempt(run).write_json("verdict.json", {"green": True, "judged_at_s": 1.0})
    report = swept.sweep()
    assert (report.removed, report.errors) == ([container] if goes else [], [])


def test_a_directory_goes_with_its_container(swept: Swept) -> None:
    """In the same sweep: a disk that is full cannot wait for the next."""
    run = swept.run()
    container, attempt = swept.container(run), swept.attempt(run, age_s=1e7)
    report = swept.sweep()
    assert (report.removed, report.directories) == ([container], [attempt.name])


def test_a_container_of_a_running_run_stays(swept: Swept) -> None:
    run = swept.run(ended=False)
    running, ended = swept.container(run, program="works"), swept.container(run)
    report = swept.sweep()
    assert (report.stopped, report.removed) == ([], [])
    assert {running, ended} == swept.engine.containers.keys()


@pytest.mark.parametrize("owner", ["", "another-instance", "process-of-another-root"])
@pytest.mark.parametrize("program", ["works", "ends"])
def test_what_another_instance_may_own_stays(swept: Swept, owner: str, program: str) -> None:
    """An unknown run is not over, whatever the deployment's name is, and whatever an older version left out."""
    container = swept.container("11111111-1111-1111-1111-111111111111", instance=owner, program=program)
    swept.attempt("11111111-1111-1111-1111-111111111111").write_json("verdict.json", {"green": False})
    # However old it is.
    report = swept.sweep(attempt_age_s=-1)
    assert (report.stopped, report.removed, report.errors) == ([], [], [])
    assert container in swept.engine.containers


def test_two_instances_have_two_ids_and_each_keeps_its_own(stored: Swept, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "other")) as other:
        assert instance_id(other) != instance_id(stored.instance)
        assert instance_id(other) == instance_id(other)
        with dg.DagsterInstance.from_ref(other.get_ref()) as again:
            assert instance_id(again) == instance_id(other), "a run worker must read the id that the daemon reads"


def test_a_container_without_the_label_goes_with_its_known_run(swept: Swept) -> None:
    """As those of earlier versions have none."""
    container = swept.container(swept.run(), instance="")
    assert swept.sweep().removed == [container]


def test_a_container_whose_run_was_deleted_stays_until_it_is_very_old(swept: Swept) -> None:
    run = swept.run()
    working = swept.container(run, instance=instance_id(swept.instance), program="works")
    swept.instance.delete_run(run)
    assert swept.sweep().stopped == []
    assert swept.sweep(attempt_age_s=-1).stopped == [working]


def test_the_container_of_a_process_goes_when_the_process_has_ended(swept: Swept) -> None:
    """A script's runs are in no storage: its lock tells when they are orphans."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, own_process(swept.root).encode())
        signal.pause()
    container = swept.container("unknown", instance=os.read(reader, 100).decode(), program="works")
    # However old it is.
    assert swept.sweep(attempt_age_s=-1).stopped == []
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert swept.sweep().stopped == [container]
    assert swept.sweep().removed == [container]


def test_a_retry_that_still_runs_keeps_the_containers_of_its_chain(swept: Swept) -> None:
    first = swept.run()
    swept.run(ended=False, root_run_id=first, parent_run_id=first, tags={"dagster/root_run_id": first})
    swept.container(first)
    assert swept.sweep().removed == []


def test_a_refused_removal_and_a_bad_record_or_label_do_not_stop_the_rest(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, bad_label, bad_record, good = (
        swept.container(swept.run(), **extra) for extra in ({}, {"drayage/keep_s": "soon"}, {}, {})
    )
    run = swept.engine.containers[bad_record].spec.labels["drayage/run_id"]
    (swept.attempt(run).path / "verdict.json").write_text("not JSON")
    remove = swept.engine.remove

    def refuse(container_id: str) -> None:
        if container_id == refused:
            raise EngineError("permission denied")
        remove(container_id)

    monkeypatch.setattr(swept.engine, "remove", refuse)
    report = swept.sweep()
    assert report.removed == [good]
    assert len(report.errors) == 3
    assert {error.split(":")[0] for error in report.errors} == {it[:12] for it in (refused, bad_label, bad_record)}


@pytest.mark.parametrize("keep_s", ["nan", "-1", "-inf", "", "soon"])
def test_a_label_that_says_no_time_is_an_error(swept: Swept, keep_s: str) -> None:
    bad, good = swept.container(swept.run(), **{"drayage/keep_s": keep_s}), swept.container(swept.run())
    report = swept.sweep()
    assert report.removed == [good]
    assert len(report.errors) == 1
    assert bad[:12] in report.errors[0]
    assert f"got {keep_s!r}" in report.errors[0]


def test_a_container_can_be_kept_for_ever(swept: Swept) -> None:
    swept.container(swept.run(), **{"drayage/keep_s": "inf"})
    report = swept.sweep()
    assert (report.removed, report.errors) == ([], [])


@pytest.mark.parametrize("label", ["instance", "exchange", "keep", "forward_termination"])
@pytest.mark.parametrize("value", ["x" * 5000, "a\0b", "caf\udce9", "../..", "/", "process-\0", "process-" + "x" * 300])
def test_a_label_of_any_form_does_not_stop_the_rest(swept: Swept, label: str, value: str) -> None:
    swept.container("unknown", **{f"drayage/{label}": value})
    good = swept.container(swept.run())
    assert swept.sweep().removed == [good]


def test_an_engine_that_does_not_answer_is_an_error(swept: Swept) -> None:
    swept.engine.is_unreachable = True
    with pytest.raises(EngineError):
        swept.sweep()


def test_a_run_worker_goes_with_its_run_and_another_instances_stays(swept: Swept) -> None:
    ended, running = swept.run(), swept.run(ended=False)
    workers = [
        swept.container(run, **{"dagster/run_id": run, "drayage/run_id": ""})
        for run in (ended, running, "33333333-3333-3333-3333-333333333333")
    ]
    assert swept.sweep().run_workers == workers[:1]


def test_a_run_worker_that_works_stays_although_its_run_has_ended(swept: Swept) -> None:
    """It may be storing what its run ended with."""
    run = swept.run()
    worker = swept.container(run, program="works", **{"dagster/run_id": run, "drayage/run_id": ""})
    assert swept.sweep().run_workers == []
    assert worker in swept.engine.containers


def test_a_run_worker_of_another_deployment_stays(swept: Swept) -> None:
    run = swept.run()
    labels = {"dagster/run_id": run, "drayage/run_id": ""}
    own, other = swept.container(run, **labels), swept.container(run, **labels, **{DEPLOYMENT: "other"})
    assert swept.sweep().run_workers == [own]
    assert other in swept.engine.containers


def _standby(swept: Swept, run: str | None = None, *, program: str = "works", instance: str | None = None) -> str:
    """Create a run worker that stood by, and give it a run; return its id."""
    own = instance_id(swept.instance)
    labels = {STANDBY: "key", INSTANCE: own if instance is None else instance, "drayage/run_id": ""}
    worker = swept.container("", program=program, **labels)
    if run is not None:
        name_container(swept.instance, run, worker, "image")
    return worker


def test_a_run_worker_that_stood_by_goes_with_its_run(swept: Swept) -> None:
    """Its labels were made before its run was known; the run says which container it had."""
    ended, running = swept.run(), swept.run(ended=False)
    workers = [_standby(swept, run, program="ends") for run in (ended, running)]
    assert swept.sweep().run_workers == workers[:1]
    assert workers[1] in swept.engine.containers


def test_a_run_worker_that_stands_by_or_has_a_run_is_left_alone(swept: Swept) -> None:
    workers = [_standby(swept, run) for run in (None, swept.run(ended=False), swept.run())]
    assert swept.sweep().run_workers == []
    assert swept.engine.containers.keys() >= {*workers}


def test_a_run_worker_that_ended_while_it_stood_by_is_removed(swept: Swept) -> None:
    assert swept.sweep().run_workers == []
    worker = _standby(swept, program="ends")
    assert swept.sweep().run_workers == [worker]


def test_a_forgotten_run_worker_is_removed_and_one_with_an_old_run_is_not(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It should have ended by itself; a run may take longer than that."""
    forgotten, works = _standby(swept), _standby(swept, swept.run(ended=False))
    for age_s, expected in ((STANDBY_S, []), (STANDBY_S + 4000, [forgotten])):
        now_s = time.time() + age_s
        monkeypatch.setattr(swept, "clock", lambda now_s=now_s: now_s)
        assert swept.sweep(attempt_age_s=1e9).run_workers == expected
    assert works in swept.engine.containers


def test_a_run_worker_that_stands_by_for_another_instance_is_left_alone(swept: Swept) -> None:
    _standby(swept, program="ends", instance="another")
    assert swept.sweep().run_workers == []


def test_the_engine_is_asked_a_constant_number_of_times(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("find", "state"):
        method = getattr(swept.engine, name)

        def count(*arguments: Any, name: str = name, method: Any = method) -> Any:
            asked.append(name)
            return method(*arguments)

        monkeypatch.setattr(swept.engine, name, count)
    for _ in range(20):
        swept.container(swept.run(ended=False), program="works")
    swept.sweep()
    assert sorted(asked) == ["find", "find"]


def test_dagster_is_asked_a_constant_number_of_times_about_what_stays(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        run = swept.run(ended=False)
        swept.container(run)
        swept.attempt(run, age_s=1e7)
    asked = []
    get_run_records = swept.instance.get_run_records

    def count(*arguments: Any, **keywords: Any) -> Any:
        asked.append(arguments)
        return get_run_records(*arguments, **keywords)

    monkeypatch.setattr(swept.instance, "get_run_records", count)
    report = swept.sweep()
    assert (report.removed, report.directories) == ([], [])
    assert len(asked) == 3


@pytest.mark.parametrize("program", ["works", "ends"])
def test_a_container_that_another_process_follows_stays_with_its_directory(swept: Swept, program: str) -> None:
    """Its run may look ended to Dagster while a retry on another host has just adopted it."""
    run = swept.run()
    container, attempt = swept.container(run, program=program), swept.attempt(run, age_s=1e7)
    lock = lock_attempt(attempt)
    assert lock is not None
    report = swept.sweep()
    assert (report.stopped, report.removed, report.directories, report.errors) == ([], [], [], [])
    lock.release()
    report = swept.sweep()
    assert [*report.stopped, *report.removed] == [container]
    swept.engine.remove(container)
    old = swept.attempt(swept.run(), age_s=1e7)
    lock = lock_attempt(old)
    assert lock is not None
    os.utime(old.path, (0, 0))
    report = swept.sweep()
    assert old.name not in report.directories
    assert report.errors == []
    lock.release()
    assert old.name in swept.sweep().directories


@pytest.mark.parametrize("what", ["a container", "a directory"])
def test_what_a_retry_took_since_dagster_was_asked_stays(
    swept: Swept, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = swept.run()
    if what == "a container":
        swept.container(run, program="works")
    lock = lock_attempt(swept.attempt(run, age_s=1e7))
    assert lock is not None
    lock.release()
    for path in (swept.root / run).glob("step/*"):
        os.utime(path, (0, 0))
    load = Runs.load

    def load_then_retry(self: Runs, run_ids: Iterable[str]) -> None:
        wanted = [*run_ids]
        load(self, wanted)
        if run in wanted:
            monkeypatch.setattr(Runs, "load", load)
            swept.run(ended=False, root_run_id=run, parent_run_id=run, tags={"dagster/root_run_id": run})

    monkeypatch.setattr(Runs, "load", load_then_retry)
    report = swept.sweep()
    assert (report.stopped, report.directories, report.errors) == ([], [], [])


def test_the_sweeper_needs_no_exchange_root(swept: Swept) -> None:
    assert not swept.root.exists()
    assert str(swept.sweep()).startswith("stopped 0 containers")
