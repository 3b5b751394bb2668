"""One attempt at a step on an engine under test, as the runner makes it."""

import contextlib
import uuid
from pathlib import Path

from engine_bench import DEADLINE_S, Bench, FollowedOutput
from engine_rigs import IMAGE

from drayage.engine import ContainerSpec, Engine, Mailbox
from drayage.errors import EngineError
from drayage.identity import DEPLOYMENT, EXCHANGE, RUN, STEP
from drayage.mailbox import WORKLOAD_MESSAGES

# It goes on at a signal.
ONE = f"go=; trap go=1 USR1; echo one >> {WORKLOAD_MESSAGES}; until [ $go ]; do sleep 0.02; done"
CONTEXT = b'{"extras": {"x": "' + 10_000 * b"y" + b'"}}'


class Step:
    """One attempt at a step, as the runner makes it.

    Args:
        bench: The engine.
        root: The exchange root.
    """

    def __init__(self, bench: Bench, root: Path) -> None:
        self.bench = bench
        self.engine: Engine = bench.engine
        self.name = f"run-{uuid.uuid4().hex[:8]}/step/0"
        self.folder = root / self.name / "io"
        self.folder.mkdir(parents=True)
        self.labels = {
            **bench.rig.labels,
            DEPLOYMENT: f"mailboxes-{uuid.uuid4().hex[:8]}",
            RUN: self.name.split("/")[0],
            STEP: "step",
            EXCHANGE: self.name,
        }
        self.container = ""
        self._opened: list[Mailbox] = []
        # Whoever asks so gets volumes, too.
        self.owner = {DEPLOYMENT: self.labels[DEPLOYMENT]}

    @property
    def mirror(self) -> bytes:
        return (self.folder / "messages.jsonl").read_bytes()

    def open(self, **settings: bool) -> Mailbox:
        mailbox = self.engine.mailbox(self.folder, labels=self.labels, **settings)
        self._opened.append(mailbox)
        return mailbox

    def create(self, mailbox: Mailbox, script: str, **spec: object) -> None:
        command = ["sh", "-ec", script]
        mounts = [*mailbox.spec_part(), *spec.pop("mounts", ())]  # type: ignore[misc]
        self.container = self.engine.create(
            ContainerSpec(IMAGE, command=command, labels=self.labels, mounts=mounts, **spec)  # type: ignore[arg-type]
        ).id

    def run(self, mailbox: Mailbox, script: str) -> None:
        mailbox.reserve_context()
        self.create(mailbox, script)
        mailbox.put_context(CONTEXT)
        self.engine.start(self.container)

    def go_on(self) -> None:
        self.bench.rig.signal(self.container, "SIGUSR1")

    def close(self) -> None:
        """Remove what a failed test left; a file that stays open would fail a later, innocent one."""
        with contextlib.suppress(EngineError):
            for mailbox in self._opened:
                mailbox.collect()
            if self.container:
                self.engine.remove(self.container)

    def end(self) -> int:
        state = self.engine.await_end(self.container, DEADLINE_S)
        assert state is not None
        return state.exit_code


def read_all(mailbox: Mailbox, offset: int = 0) -> bytes:
    """Read what there is, as the runner does once the container has ended."""
    content = b""
    while chunk := mailbox.read(offset + len(content), timeout_s=0):
        content += chunk
    return content


def digest_in(output: FollowedOutput) -> str:
    return output.whole()["stdout"].decode().split()[0]
