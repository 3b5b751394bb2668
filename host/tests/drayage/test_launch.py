"""A container that a retry takes over keeps its own clock."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from drayage.engine import ContainerState, Engine, Stream
from drayage.exchange.context_pipe import ContextPipe
from drayage.exchange.directory import Exchange
from drayage.identity import Identity
from drayage.redaction import Redactor
from drayage.request import ContainerRequest
from drayage.settings import StepSettings
from drayage.step.adoption import Adopted, AlreadyLogged
from drayage.step.launch import Launched, Launcher
from drayage.step.limits import TimeLimits
from drayage.step.output import open_output_logs

AGE_S = 1000.0


class EngineWithOneContainer:
    """An engine whose one container never says or does anything."""

    def output(self, _container_id: str, *, from_start: bool) -> Any:
        assert from_start
        return SilentOutput()

    def wait(self, _container_id: str) -> None:
        """Nothing to wait for: the state says that it has ended, or the test does not ask."""

    def state(self, _container_id: str) -> ContainerState:
        return state("exited")

    def usage(self, _container_id: str) -> None:
        return None


class SilentOutput:
    """No output."""

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield nothing."""
        return iter(())

    def close(self) -> None:
        """Nothing to close."""


def state(status: str) -> ContainerState:
    return ContainerState(
        id="0123456789abcdef",
        name="step",
        image="image",
        image_id="sha256:image",
        status=status,
        exit_code=0,
        oom_killed=False,
        error="",
        memory_limit_bytes=0,
        started_at_s=time.time() - AGE_S,
        finished_at_s=0.0,
        labels={},
    )


def adopt(status: str, settings: StepSettings, folder: Path) -> Launched:
    nothing = cast("Any", lambda *_: None)
    attempt = Exchange(folder).create("run/step/0")
    launcher = Launcher(
        ContainerRequest(identity=Identity("d", "run", "run", "step", 0, 0), image="image", settings=settings),
        cast("Engine", EngineWithOneContainer()),
        on_change=nothing,
        on_created=nothing,
        on_launched=nothing,
        on_leftover=nothing,
    )
    adopted = Adopted(
        attempt,
        state(status),
        removed=False,
        already_logged=AlreadyLogged(),
        created_at_s=time.time() - AGE_S,
        measures={},
    )
    with contextlib.ExitStack() as stack:
        logs = stack.enter_context(open_output_logs(attempt.stdout, attempt.stderr, Redactor(())))
        return launcher.adopt(adopted, logs, ContextPipe(attempt))


@pytest.mark.parametrize(("timeout_s", "reached"), [(AGE_S / 2, True), (AGE_S * 2, False)])
def test_its_limit_counts_from_its_own_start(tmp_path: Path, timeout_s: float, *, reached: bool) -> None:
    """Else a host that dies every hour would let a step of two hours' limit run for ever."""
    settings = StepSettings(timeout_s=timeout_s)
    launched = adopt("running", settings, tmp_path)
    limit = TimeLimits(settings, launched.started_at).reached(time.monotonic(), opened_at=None, last_activity_at=None)
    assert (limit is not None) is reached


def test_one_that_has_ended_meanwhile_is_past_all_limits(tmp_path: Path) -> None:
    """It ended in time; that nobody looked for an hour is not its fault."""
    settings = StepSettings(timeout_s=AGE_S / 2)
    launched = adopt("exited", settings, tmp_path)
    limits = TimeLimits(settings, launched.started_at)
    assert limits.reached(time.monotonic(), opened_at=None, last_activity_at=None) is None
