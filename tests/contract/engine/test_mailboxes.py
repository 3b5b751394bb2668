"""An engine's mailbox: the same bytes go in and come out, whether containers have this machine's files or not."""

import hashlib

import pytest
from engine_bench import DEADLINE_S
from engine_rigs import ENGINES
from mailbox_step import CONTEXT, ONE, Step, digest_in, read_all

from drayage.errors import ExchangeError
from drayage.identity import EXCHANGE
from drayage.mailbox import WORKLOAD_CONTEXT, WORKLOAD_MESSAGES

ONE_AND_TWO = f"{ONE}; echo two >> {WORKLOAD_MESSAGES}"
# The containers of the fake engine have no shell; its mailbox is that of the unit tests.
ENGINES = [engine for engine in ENGINES if engine.id != "fake"]


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
    assert not step.engine.find(step.owner)


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
    # Where both are one file, the program would see what the host has written.
    assert step.end() == 0
    with (step.folder / "messages.jsonl").open("ab") as messages:
        messages.write(b"adapted\n")
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


def test_another_process_reads_what_came_while_nobody_read(step: Step) -> None:
    """The first may have been killed before a single byte came."""
    first = step.open()
    step.run(first, f"trap 'echo one >> {WORKLOAD_MESSAGES}; exit' USR1; echo up; while :; do sleep 0.02; done")
    step.bench.follow(step.container, from_start=True).until(b"up")
    first.collect()
    step.go_on()
    assert step.end() == 0
    step.engine = type(step.engine)()
    assert [it.id for it in step.engine.find(step.labels)] == [step.container]
    second = step.open()
    assert step.end() == 0
    assert read_all(second) == b"one\n"
    second.collect()


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
    assert not step.engine.find(step.owner)


def test_what_a_killed_process_left_is_found_by_its_owner(step: Step) -> None:
    """It may have been killed before the container was made. Then nothing else shows what the mailbox occupies."""
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    other = type(step.engine)()
    for found in other.find(step.owner):
        assert EXCHANGE not in found.labels
        assert found.status == "created", "it may go as soon as its run is over"
        other.remove(found.id)
    assert not other.find(step.owner)
    mailbox.collect()
