"""A container that stands by when its run is cancelled, its step fails or its host is killed."""

import signal
from pathlib import Path

import pytest
from contract_steps import outcome_of
from host_process import DEADLINE_S, Host, is_standing_by, wait_for

from drayage import SweepLimits

pytestmark = pytest.mark.engine


@pytest.fixture
def warm(host: Host) -> Host:
    """Return a host whose job has run once, so that its second step can stand by; later runs wait for :func:`go_on`."""
    signals(host).mkdir()
    # Any user id in the container may look for files there.
    signals(host).chmod(0o755)
    for name in ("first", "second"):
        go_on(host, name)
    assert host.finish(host.start("ahead")).success
    for name in ("first", "second"):
        (signals(host) / name).unlink()
    return host


def signals(host: Host) -> Path:
    return host.deployment.exchange_root.parent / "signals"


def go_on(host: Host, name: str) -> None:
    (signals(host) / name).touch()


def read(log: Path) -> str:
    return log.read_text(encoding="utf-8") if log.exists() else ""


def test_a_cancel_removes_the_standby(warm: Host) -> None:
    process = warm.start("ahead")
    wait_for(lambda: is_standing_by(warm.deployment), "the container that stands by")
    process.send_signal(signal.SIGINT)
    assert not warm.finish(process).success
    assert warm.deployment.left_behind() == []


def test_an_asset_whose_own_code_fails_leaves_no_standby(warm: Host) -> None:
    go_on(warm, "first")
    go_on(warm, "first-fails")
    process = warm.start("ahead")
    outcome = warm.finish(process)
    assert not outcome.success
    assert warm.deployment.starts() == 4, "two of the earlier run, the first step's, and the one that stood by"
    assert warm.deployment.left_behind() == []


def test_a_retry_removes_the_standby_of_a_killed_host(warm: Host) -> None:
    process = warm.start("ahead")
    wait_for(lambda: is_standing_by(warm.deployment), "the container that stands by")
    killed = warm.kill(process)
    for name in ("first", "second"):
        go_on(warm, name)
    outcome = warm.finish(warm.start("ahead", retried=killed))
    assert outcome.success, outcome.failure
    assert "is not adopted: it was on standby, and its step never started" in outcome.logged
    assert len(outcome.materializations) == 2
    assert warm.deployment.left_behind() == []


def test_the_sweeper_removes_the_standby_of_a_killed_host(warm: Host) -> None:
    process = warm.start("ahead")
    wait_for(lambda: is_standing_by(warm.deployment), "the container that stands by")
    warm.kill(process)
    sweeper = warm.deployment.client().sweeper(warm.instance, SweepLimits(orphan_grace_s=0))
    sweeper.sweep()
    wait_for(lambda: not is_standing_by(warm.deployment), "its end")
    sweeper.sweep()
    assert [container.labels["drayage/step"] for container in warm.deployment.containers()] == ["first"], (
        "that one failed, and is kept for debugging"
    )


def test_a_retry_adopts_a_standby_that_has_begun_its_step(warm: Host) -> None:
    go_on(warm, "first")
    process = warm.start("ahead")
    wait_for(lambda: is_standing_by(warm.deployment), "the container that stands by")
    attempt = warm.deployment.exchange_root / warm.last_run().run_id / "second" / "0"
    wait_for(lambda: "started" in read(attempt / "stdout.log"), "the second step's beginning")
    # The container prints as soon as it has its context; that it stood by is logged afterwards.
    wait_for(lambda: "s ahead" in outcome_of(warm.instance, warm.last_run().run_id).logged, "the word of standing by")
    (container,) = [c.id for c in warm.deployment.containers() if c.labels["drayage/step"] == "second"]
    killed = warm.kill(process)
    retry = warm.start("ahead", retried=killed)
    wait_for(lambda: warm.last_run().run_id != killed, "the retry")
    go_on(warm, "second")
    outcome = warm.finish(retry)
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["container_id"] == container
    assert outcome.materializations[0]["exchange_dir"] == str(attempt)
    assert warm.deployment.starts() == 4, "one for each step of two runs"
    assert warm.deployment.left_behind() == []


def test_a_retry_adopts_a_standby_whose_host_died_with_the_context_in_hand(warm: Host) -> None:
    go_on(warm, "first")
    process = warm.start("ahead", CONTRACT_KILLED_WITH_CONTEXT_OF="second")
    process.wait(timeout=DEADLINE_S)
    (left,) = [each.id for each in warm.deployment.containers() if each.labels["drayage/step"] == "second"]
    go_on(warm, "second")
    outcome = warm.finish(warm.start("ahead", retried=warm.kill(process)))
    assert outcome.success, outcome.failure
    assert outcome.materializations[0]["container_id"] == left
    assert warm.deployment.starts() == 4, "one for each step of two runs"
