"""The mailbox of an engine that shares no files with this machine: what is true of it alone."""

import hashlib
import random
import time
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from elsewhere import Elsewhere
from engine_bench import DEADLINE_S
from engine_rigs import ENGINES
from mailbox_step import CONTEXT, ONE, Step, digest_in, read_all

from drayage.docker.relay import mailbox_name
from drayage.engine import Mount
from drayage.errors import EngineError, ExchangeError, SettingsError
from drayage.mailbox import WORKLOAD_MESSAGES

ENGINES = [engine for engine in ENGINES if engine.id == "remote-docker"]


def test_a_relay_is_not_listed_beside_what_it_serves(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, "true")
    assert [it.id for it in step.engine.find(step.owner)] == [step.container]
    step.end()
    mailbox.collect()


def test_another_directory_of_this_machine_is_refused(step: Step, tmp_path: Path) -> None:
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    with pytest.raises(SettingsError, match=rf"shares no files.*{tmp_path}.*kind='bind'.*Nothing was started"):
        step.create(mailbox, "true", mounts=[Mount(str(tmp_path), "/in", kind="local")])
    mailbox.collect()


def test_a_missing_relay_is_named(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAYAGE_RELAY_IMAGE", "no-such-relay")
    mailbox = step.open()
    with pytest.raises(EngineError, match=r"no image 'no-such-relay'.*DRAYAGE_RELAY_IMAGE"):
        mailbox.put_context(CONTEXT)
    mailbox.collect()
    assert not step.engine.find(step.owner)


def test_what_the_relay_has_is_confined(step: Step) -> None:
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    (found,) = step.engine.find(step.owner)
    host = step.bench.rig.description(found.id)["HostConfig"]  # type: ignore[attr-defined]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert host["LogConfig"]["Type"] == "none"
    assert 0 < host["Memory"] <= 2**26
    mailbox.collect()


def test_a_volume_without_its_relay_is_found_and_removed(step: Step) -> None:
    """A process may be killed between making, or removing, the one and the other."""
    mailbox = step.open()
    mailbox.put_context(CONTEXT)
    (relay,) = step.engine.find(step.owner)
    step.bench.rig.remove(relay.id)  # type: ignore[attr-defined]
    other = type(step.engine)()
    (volume,) = other.find(step.owner)
    assert (volume.id, volume.status) == (relay.name, "created")
    # The relay has those of its image, too.
    assert volume.labels.items() <= relay.labels.items()
    assert step.owner.items() <= volume.labels.items()
    assert abs(volume.created_at_s - relay.created_at_s) < DEADLINE_S
    other.remove(volume.id)
    assert not other.find(step.owner)
    mailbox.collect()


def test_a_relay_that_somebody_removes_makes_reading_an_error(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, ONE)
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b"one\n"
    step.bench.rig.remove(mailbox_name(step.labels))  # type: ignore[attr-defined]
    with pytest.raises(ExchangeError, match="relay or its volume was removed"):
        mailbox.read(4, timeout_s=DEADLINE_S)
    mailbox.collect()


def test_a_relay_that_is_killed_goes_on(step: Step) -> None:
    """The kernel may do that, or an engine that is started again."""
    mailbox = step.open()
    step.run(mailbox, f"{ONE}; echo two >> {WORKLOAD_MESSAGES}")
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b"one\n"
    step.bench.rig.signal(mailbox_name(step.labels), "SIGKILL")
    step.go_on()
    assert step.end() == 0
    assert read_all(mailbox, 4) == b"two\n"
    mailbox.collect()


def test_a_hole_is_not_sent_and_is_named(step: Step) -> None:
    mailbox = step.open()
    step.run(mailbox, f"truncate -s 100M {WORKLOAD_MESSAGES}")
    assert step.end() == 0
    with pytest.raises(ExchangeError, match=r"truncated or replaced .* has a hole at byte 0: .*append to it\)"):
        read_all(mailbox)
    mailbox.collect()
    assert step.mirror == b""


def test_every_byte_comes_through_twenty_cuts(
    step: Step, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    with CuttingProxy(elsewhere.address, 2376) as proxy:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{proxy.port}")
        step.engine = type(step.engine)()
        mailbox = step.open()
        line = "x" * 900
        script = f"""
        go=; trap go=1 USR1; i=0; until [ $go ]; do
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
        step.go_on()
        assert step.end() == 0
        content += read_all(mailbox, len(content))
        mailbox.collect()
    assert cuts == 20
    output = step.bench.follow(step.container, from_start=True)
    assert digest_in(output) == hashlib.sha256(content).hexdigest() == hashlib.sha256(step.mirror).hexdigest()
