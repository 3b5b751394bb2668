"""A container that a retry adopts keeps its own clock."""

import contextlib
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage, Process

from drayage.engine import ContainerSpec
from drayage.exchange.directory import Exchange
from drayage.exchange.owner_lock import lock_attempt
from drayage.identity import Identity
from drayage.redaction import Redactor
from drayage.request import ContainerRequest
from drayage.settings import StepSettings
from drayage.step.adoption import Adopted, AlreadyLogged
from drayage.step.launch import Launched, Launcher
from drayage.step.limits import TimeLimits
from drayage.step.output import open_output_logs

AGE_S = 1000.0


def waits(_: Process) -> Generator[None, str, int]:
    """Say nothing, and wait for a signal."""
    while True:
        yield


def adopt(status: str, settings: StepSettings, folder: Path) -> Launched:
    attempt = Exchange(folder).create("run/step/0")
    lock = lock_attempt(attempt)
    assert lock is not None
    engine = FakeEngine({"image": FakeImage({"wait": waits}, ["wait"])}, clock=lambda: time.time() - AGE_S)
    container_id = engine.create(ContainerSpec("image")).id
    engine.start(container_id)
    if status == "ended":
        engine.stop(container_id, "SIGKILL", 0)
    launcher = Launcher(
        ContainerRequest(identity=Identity("d", "run", "run", "step", 0, 0), image="image", settings=settings),
        engine,
    )
    adopted = Adopted(
        attempt,
        engine.state(container_id),
        finished=False,
        already_logged=AlreadyLogged(),
        created_at_s=time.time() - AGE_S,
        measures={},
        lock=lock,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        logs = stack.enter_context(open_output_logs(attempt.stdout, attempt.stderr, Redactor(())))
        launched = launcher.adopt(adopted, logs)
        launched.follower.stop("SIGKILL", grace_s=0)
        return launched


@pytest.mark.parametrize(("timeout_s", "reached"), [(AGE_S / 2, True), (AGE_S * 2, False)])
def test_its_limit_counts_from_its_own_start(tmp_path: Path, timeout_s: float, *, reached: bool) -> None:
    """Otherwise a step with a limit of two hours would run forever under a host that dies every hour."""
    settings = StepSettings(timeout_s=timeout_s)
    launched = adopt("running", settings, tmp_path)
    limits = TimeLimits(settings, launched.started_at)
    limit = limits.reached(time.monotonic(), caught_up_at=None, opened_at=None, last_activity_at=None)
    assert (limit is not None) is reached


def test_one_that_has_already_ended_can_reach_no_limit(tmp_path: Path) -> None:
    """It ended in time, even if no host looked for an hour."""
    settings = StepSettings(timeout_s=AGE_S / 2)
    launched = adopt("ended", settings, tmp_path)
    limits = TimeLimits(settings, launched.started_at)
    assert limits.reached(time.monotonic(), caught_up_at=None, opened_at=None, last_activity_at=None) is None
