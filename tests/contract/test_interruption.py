"""A step that is cancelled ends its container; a host that dies loses nothing."""

import signal
import time

import pytest
from contract_steps import on_each_engine, outcome_of, wait_until
from host_process import DEADLINE_S, Host

pytestmark = [pytest.mark.engine, on_each_engine]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_step_signals_its_workload_and_reads_its_last_messages(host: Host, sent: signal.Signals) -> None:
    process = host.start("patient")
    host.wait_for_output("started")
    process.send_signal(sent)
    outcome = host.finish(process)
    assert not outcome.success
    assert "stopping" in [entry.user_message for entry in outcome.entries]
    assert outcome.materializations == []
    (observation,) = outcome.observations
    assert (observation["rows"], observation["drayage/partial"]) == (3, True)
    # The plots have a point for this run too.
    assert observation["duration_s"] > observation["start_s"] > 0
    assert {"cpu_s", "peak_memory_mib"} <= observation.keys(), "null if it was not sampled"
    assert host.deployment.left_behind() == []


def test_a_cancel_just_after_a_lock_was_taken_leaves_nothing_waiting_for_it(host: Host) -> None:
    outcome = host.finish(host.start("struck"))
    assert not outcome.success
    assert "stopping" in [entry.user_message for entry in outcome.entries], "the thread that reads messages logs too"
    assert host.deployment.left_behind() == []


def test_a_cancel_does_not_wait_for_twenty_thousand_log_messages(host: Host) -> None:
    """Dagster stores one at a time, at fifty a second into PostgreSQL; each must be there, or be counted."""
    process = host.start("talkative")
    host.wait_for_output("started")
    sent_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    outcome = host.finish(process)
    took_s = time.monotonic() - sent_at
    assert not outcome.success
    said = [entry.user_message for entry in outcome.entries if entry.user_message.startswith("line ")]
    assert said == [f"line {number}" for number in range(1, len(said) + 1)]
    warnings = [entry.user_message for entry in outcome.entries if "were left out here" in entry.user_message]
    left_out = sum(int(text.split()[0].replace(",", "")) for text in warnings)
    # On a busy machine, the last ones are not even read.
    unread = [entry for entry in outcome.entries if "bytes of messages were not read" in entry.user_message]
    assert len(said) + left_out == 20_000 or (unread and len(said) + left_out < 20_000)
    assert all("/io/messages.jsonl" in text for text in warnings)
    assert outcome.observations[0]["rows"] == 3, "what was reported among them is kept"
    assert took_s < DEADLINE_S / 4, "a stalled machine takes long too, but not this long"


def test_a_workload_that_ignores_the_signal_is_killed(host: Host) -> None:
    process = host.start("stubborn")
    attempt = host.wait_for_output("started")
    process.terminate()
    outcome = host.finish(process)
    assert not outcome.success
    assert any("SIGTERM to container" in entry.user_message for entry in outcome.entries)
    assert "told" in (attempt / "stdout.log").read_text(encoding="utf-8"), "it had the signal first"
    assert host.deployment.left_behind() == [], "it never ends by itself"
    assert host.deployment.signals() in (None, ["15", "9"])


def test_without_forwarding_a_cancel_leaves_the_container_running(host: Host) -> None:
    process = host.start("unforwarded")
    host.wait_for_output("started")
    process.terminate()
    host.finish(process)
    assert len(host.deployment.running()) == 1


@pytest.mark.parametrize("meanwhile", ["running", "finished"])
def test_a_retry_adopts_the_container_of_a_killed_host(host: Host, meanwhile: str) -> None:
    process = host.start("chain")
    host.wait_for_output("started")
    killed = host.kill(process)
    (container,) = host.deployment.running()
    if meanwhile == "finished":
        host.deployment.release()
        wait_until(lambda: not host.deployment.running(), what="the container's end")
    retry = host.start("chain", retried=killed)
    wait_until(lambda: host.last_run().run_id != killed, what="the retry", deadline_s=DEADLINE_S)
    if meanwhile == "running":
        host.deployment.release()
    outcome = host.finish(retry)
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["container_id"] == container.id
    assert outcome.materializations[0]["rows"] == 3
    assert outcome.checks == [("whole", True)]
    assert host.deployment.starts() == 2, "one for each of the two steps"
    assert len(outcome_of(host.instance, killed).materializations) == 1, "the finished step is skipped"
    assert host.deployment.left_behind() == []


@pytest.mark.parametrize("meanwhile", ["running", "finished"])
def test_a_retry_reads_a_plain_programs_output_from_its_start(host: Host, meanwhile: str) -> None:
    process = host.start("plain")
    attempt = host.wait_for_output("started")
    killed = host.kill(process)
    if meanwhile == "finished":
        host.deployment.release()
        wait_until(lambda: not host.deployment.running(), what="the container's end")
    retry = host.start("plain", retried=killed)
    wait_until(lambda: host.last_run().run_id != killed, what="the retry", deadline_s=DEADLINE_S)
    if meanwhile == "running":
        host.deployment.release()
    outcome = host.finish(retry)
    assert outcome.success, outcome.failure
    (metadata,) = outcome.materializations
    assert (metadata["early"], metadata["rows"], metadata["exit_code"]) == (1, 3, 0)
    assert host.deployment.starts() == 1
    assert (attempt / "io" / "messages.jsonl").read_text(encoding="utf-8").count('"opened"') == 1


def test_a_retry_of_a_stream_records_nothing_twice(host: Host) -> None:
    process = host.start("streamed")
    host.wait_for_output("started", step="both")

    def checked() -> bool:
        return len(outcome_of(host.instance, host.last_run().run_id).checks) == 1

    wait_until(checked, what="the first results in the event log")
    killed = host.kill(process)
    host.deployment.release()
    outcome = host.finish(host.start("streamed", retried=killed))
    assert outcome.success, outcome.failure
    first = outcome_of(host.instance, killed)
    assert len(first.materializations) == 1
    assert len(outcome.materializations) == 1
    assert (first.checks, outcome.checks) == ([("whole", True)], [])
    assert host.deployment.starts() == 1


def test_the_moment_of_the_kill_does_not_matter(host: Host) -> None:
    """At no moment between the container's creation and its end is work lost or done twice."""
    process = host.start("chain")
    wait_until(
        lambda: any(c.labels["drayage/step"] == "report" for c in host.deployment.containers()), what="the container"
    )
    killed = host.kill(process)
    retry = host.start("chain", retried=killed)
    attempt = wait_until(
        lambda: next(iter(host.deployment.exchange_root.glob("*/report/*/io")), None), what="the exchange directory"
    )
    host.release_until_over(retry)
    assert attempt.exists()
    outcome = host.finish(retry)
    assert outcome.success, outcome.failure
    assert host.deployment.starts() == 2
    assert len(outcome.materializations) == 1
