"""An engine's mailbox: the same bytes go in and come out, whether containers have this machine's files or not."""

import contextlib
import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from cutting_proxy import CuttingProxy
from elsewhere import Elsewhere
from engine_bench import DEADLINE_S, Bench, FollowedOutput
from engine_rigs import IMAGE

from drayage.engine import ContainerSpec, Engine, Mailbox, Mount
from drayage.errors import EngineError, ExchangeError, SettingsError
from drayage.identity import DEPLOYMENT, EXCHANGE, RUN, STEP
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES

# It goes on at a signal.
ONE = f"go=; trap go=1 USR1; echo one >> {WORKLOAD_MESSAGES}; until [ $go ]; do sleep 0.02; done"
ONE_AND_TWO = f"{ONE}; echo two >> {WORKLOAD_MESSAGES}"
CONTEXT = json.dumps({"extras": {"x": "y" * 10_000}}).encode()


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
            DEPLOYMENT: "mailboxes",
            RUN: self.name.split("/")[0],
            STEP: "step",
            EXCHANGE: self.name,
        }
        self.container = ""

    @property
    def mirror(self) -> bytes:
        return (self.folder / "messages.jsonl").read_bytes()

    def open(self, **settings: bool) -> Mailbox:
        return self.engine.mailbox(self.folder, labels=self.labels, **settings)

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


@pytest.fixture
def bench(bench: Bench, engine_kind: str) -> Bench:
    if engine_kind == "fake":
        pytest.skip("the fake engine's containers have no shell; its mailbox is that of the unit tests")
    return bench


@pytest.fixture
def step(bench: Bench, tmp_path: Path) -> Iterator[Step]:
    made = Step(bench, tmp_path)
    try:
        yield made
    finally:
        with contextlib.suppress(EngineError):
            made.engine.remove(made.container)


def test_what_is_written_is_read_and_kept(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, f"cat {WORKLOAD_CONTEXT} > {WORKLOAD_MESSAGES}; echo end >> {WORKLOAD_MESSAGES}")
    assert step.end() == 0
    assert read_all(mailbox) == CONTEXT + b"end\n"
    assert mailbox.size_bytes() == len(CONTEXT) + 4
    mailbox.collect()
    assert step.mirror == CONTEXT + b"end\n"
    assert (step.folder / "context.json").read_bytes() == CONTEXT
    step.engine.remove(step.container)
    assert not step.engine.find(step.labels)


def test_it_is_read_while_the_container_runs(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, ONE_AND_TWO)
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b"one\n"
    assert mailbox.read(4, timeout_s=0) == b""
    step.go_on()
    assert step.end() == 0
    assert read_all(mailbox, 4) == b"two\n"
    mailbox.collect()


def test_a_large_message_comes_whole_after_the_end(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, f"head -c 100000000 /dev/urandom | tee -a {WORKLOAD_MESSAGES} | sha256sum")
    output = step.bench.follow(step.container, from_start=True)
    assert step.end() == 0
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := mailbox.read(size_bytes, timeout_s=0):
        digest.update(chunk)
        size_bytes += len(chunk)
    mailbox.collect()
    assert (size_bytes, digest_in(output)) == (100_000_000, digest.hexdigest())
    assert hashlib.sha256(step.mirror).hexdigest() == digest.hexdigest()


def digest_in(output: FollowedOutput) -> str:
    return output.whole()["stdout"].decode().split()[0]


@pytest.mark.parametrize(
    "harm",
    [f": > {WORKLOAD_MESSAGES}", f"truncate -s 2 {WORKLOAD_MESSAGES}", f"truncate -s 0 {WORKLOAD_MESSAGES}; sleep 1"],
)
def test_what_became_shorter_is_an_error(step: Step, harm: str) -> None:
    mailbox = step.open()
    script = f"{ONE}; {harm}"
    step.run(mailbox, script)
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b"one\n"
    step.go_on()
    assert step.end() == 0
    with pytest.raises(ExchangeError, match=f"truncated or replaced {WORKLOAD_MESSAGES}"):
        read_all(mailbox, 4)
    mailbox.collect()


def test_a_workload_can_neither_replace_nor_add_a_file(step: Step) -> None:
    mailbox = step.open()
    names = f"{WORKLOAD_MESSAGES} {WORKLOAD_CONTEXT}"
    script = f"""
    for name in {names}; do
        ! rm -f $name; ! ln -sf /etc/passwd $name; ! mkfifo $name; ! mv /etc/hostname $name; ! ln $name $name.2
    done 2> /dev/null
    ! echo x >> {WORKLOAD_CONTEXT}
    echo honest >> {WORKLOAD_MESSAGES}
    """
    step.run(mailbox, script)
    assert step.end() == 0
    assert read_all(mailbox) == b"honest\n"
    mailbox.collect()


def test_the_host_may_write_the_messages_itself(step: Step) -> None:
    """An adapter does, for a program that knows nothing of messages."""
    mailbox = step.open(receives=False)
    step.run(mailbox, f"! echo x >> {WORKLOAD_MESSAGES}; test ! -s {WORKLOAD_MESSAGES}; test -s {WORKLOAD_CONTEXT}")
    with (step.folder / "messages.jsonl").open("ab") as messages:
        messages.write(b"adapted\n")
    assert step.end() == 0
    assert (read_all(mailbox), mailbox.size_bytes()) == (b"adapted\n", 8)
    mailbox.collect()


@pytest.mark.parametrize("reads", ["cat {0}", "while [ -p {0} ]; do sleep 0.05; done; cat {0}"], ids=["waits", "looks"])
@pytest.mark.parametrize("context", [CONTEXT, b"x" * 300_000], ids=["small", "larger than a pipe"])
def test_a_container_can_wait_for_its_context(step: Step, reads: str, context: bytes) -> None:
    mailbox = step.open(waits=True)
    step.create(mailbox, f"echo up; {reads.format(WORKLOAD_CONTEXT)} >> {WORKLOAD_MESSAGES}")
    output = step.bench.follow(step.container, from_start=False)
    step.engine.start(step.container)
    output.until(b"up")
    assert mailbox.read(0, timeout_s=0.2) == b""
    mailbox.put_context(context)
    assert step.end() == 0
    assert read_all(mailbox) == context
    mailbox.collect()
    assert (step.folder / "context.json").read_bytes() == context
    assert [path.name for path in step.folder.parent.iterdir()] == ["io"]


def test_another_process_goes_on_where_one_stopped(step: Step) -> None:
    """The first is not asked to say good-bye: it may have been killed."""
    first = step.open()
    step.run(first, ONE_AND_TWO)
    assert first.read(0, timeout_s=DEADLINE_S) == b"one\n"
    first.collect()
    step.engine = type(step.engine)()
    assert [it.id for it in step.engine.find(step.labels)] == [step.container]
    second = step.open()
    second.put_context(b"another")
    assert read_all(second) == b"one\n"
    step.go_on()
    assert step.end() == 0
    assert read_all(second, 4) == b"two\n"
    second.collect()
    assert step.mirror == b"one\ntwo\n"
    assert (step.folder / "context.json").read_bytes() == CONTEXT


def test_a_step_that_was_judged_and_removed_is_still_read(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, f"echo one >> {WORKLOAD_MESSAGES}")
    step.end()
    assert read_all(mailbox) == b"one\n"
    mailbox.collect()
    step.engine.remove(step.container)
    again = step.open()
    assert (read_all(again), again.size_bytes()) == (b"one\n", 4)
    again.collect()


def test_nothing_is_left_of_one_that_no_container_was_made_for(step: Step) -> None:
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    mailbox.collect()
    assert not step.engine.find({DEPLOYMENT: "mailboxes", RUN: step.labels[RUN]})
    assert step.bench.rig.left_behind() == 0


def test_what_a_killed_process_left_is_found_by_its_owner(step: Step) -> None:
    """It may have been killed before the container was made. Then nothing else shows what the mailbox occupies."""
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    owner = {DEPLOYMENT: "mailboxes", RUN: step.labels[RUN]}
    other = type(step.engine)()
    for found in other.find(owner):
        assert EXCHANGE not in found.labels
        assert found.status == "created", "it may go as soon as its run is over"
        other.remove(found.id)
    assert not other.find(owner)
    mailbox.collect()


class TestApart:
    """What only concerns an engine that shares no files with this machine."""

    @pytest.fixture(autouse=True)
    def apart(self, engine_kind: str) -> None:
        if engine_kind != "remote-docker":
            pytest.skip("this engine sees this machine's files")

    def test_a_relay_is_not_listed_beside_what_it_serves(self, step: Step) -> None:
        mailbox = step.open()
        step.run(mailbox, "true")
        assert [it.id for it in step.engine.find({DEPLOYMENT: "mailboxes", RUN: step.labels[RUN]})] == [step.container]
        step.end()
        mailbox.collect()

    def test_another_directory_of_this_machine_is_refused(self, step: Step, tmp_path: Path) -> None:
        mailbox = step.open()
        mailbox.put_context(CONTEXT)
        with pytest.raises(SettingsError, match=rf"shares no files.*{tmp_path}.*kind='bind'.*Nothing was started"):
            step.create(mailbox, "true", mounts=[Mount(str(tmp_path), "/in", kind="local")])
        mailbox.collect()

    def test_a_missing_relay_is_named(self, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DRAYAGE_RELAY_IMAGE", "no-such-relay")
        mailbox = step.open()
        with pytest.raises(EngineError, match=r"no image 'no-such-relay'.*DRAYAGE_RELAY_IMAGE"):
            mailbox.put_context(CONTEXT)
        mailbox.collect()
        assert step.bench.rig.left_behind() == 0

    def test_what_the_relay_has_is_confined(self, step: Step) -> None:
        mailbox = step.open()
        mailbox.put_context(CONTEXT)
        (found,) = step.engine.find({DEPLOYMENT: "mailboxes", RUN: step.labels[RUN]})
        host = step.bench.rig.description(found.id)["HostConfig"]  # type: ignore[attr-defined]
        assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
        assert host["LogConfig"]["Type"] == "none"
        assert 0 < host["Memory"] <= 2**26
        mailbox.collect()

    def test_every_byte_comes_through_twenty_cuts(
        self, step: Step, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
    ) -> None:
        with CuttingProxy(elsewhere.address, 2376) as proxy:
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{proxy.port}")
            step.engine = type(step.engine)()
            mailbox = step.open()
            line = "x" * 900
            script = f"""
            i=0; while [ $i -lt 4000 ]; do
                echo "$i {line}" >> {WORKLOAD_MESSAGES}; i=$((i + 1)); [ $((i % 50)) != 0 ] || sleep 0.1
            done; sha256sum < {WORKLOAD_MESSAGES}"""
            step.run(mailbox, script)
            moments, cuts = random.Random(20), 0  # noqa: S311 - the same each time
            content = b""
            while cuts < 20:
                before = len(content)
                content += mailbox.read(before, timeout_s=DEADLINE_S)
                assert len(content) > before, f"nothing came after cut {cuts}"
                time.sleep(moments.random() * 0.3)
                cuts += bool(proxy.cut())
            content += self._rest(step, mailbox, len(content))
            mailbox.collect()
        assert cuts == 20
        output = step.bench.follow(step.container, from_start=True)
        assert digest_in(output) == hashlib.sha256(content).hexdigest() == hashlib.sha256(step.mirror).hexdigest()

    @staticmethod
    def _rest(step: Step, mailbox: Mailbox, offset: int) -> bytes:
        ended: list[int] = []
        waiting = Thread(target=lambda: ended.append(step.end()))
        waiting.start()
        waiting.join(DEADLINE_S)
        assert ended == [0]
        return read_all(mailbox, offset)
