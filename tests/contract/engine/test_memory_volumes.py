"""Files on memory-backed volumes exist while a container needs them, and never afterwards."""

import uuid

import pytest
import shell_scripts as scripts
from engine_bench import Bench
from shell_scripts import SECRETS_TARGET

from drayage.engine import ContainerState, Mount, remove_container
from drayage.errors import VolumeInUseError
from drayage.identity import SECRETS

FILES = {"key": b"\x00\xff\n\r\nhush", "long": b"x" * 10_000}
WHOLE = b"".join(FILES.values())


@pytest.fixture
def volume(bench: Bench) -> str:
    """Create a volume of one mebibyte."""
    name = f"engine-contract-{uuid.uuid4().hex[:8]}"
    bench.engine.create_memory_volume(name, size_bytes=2**20, labels={**bench.rig.labels, "kind": "a"})
    return name


def create(bench: Bench, script: scripts.Script, volume: str, **spec: object) -> ContainerState:
    return bench.create(script, mounts=[Mount(volume, SECRETS_TARGET, kind="volume")], **spec)


def listed(bench: Bench, volume: str) -> bytes:
    """Return the file names that another container sees in a volume."""
    container = create(bench, scripts.lists_secrets, volume)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    bench.end_of(container.id)
    bench.engine.remove(container.id)
    return followed.whole()["stdout"]


def test_a_volume_is_found_by_all_its_labels_and_removed(bench: Bench, volume: str) -> None:
    own = bench.rig.labels

    def found(**labels: str) -> dict[str, dict[str, str]]:
        return {name: dict(carried) for name, carried in bench.engine.find_volumes({**own, **labels}).items()}

    assert found() == found(kind="a") == found(kind="") == {volume: {**own, "kind": "a"}}
    assert found(kind="b") == found(kind="a", more="") == {}
    bench.engine.remove_volume(volume)
    assert found() == {}
    bench.engine.remove_volume(volume)


@pytest.mark.parametrize("user", [None, "1234:99"])
def test_files_stay_until_the_container_ends_and_no_longer(bench: Bench, volume: str, user: str | None) -> None:
    container = create(bench, scripts.reads_secrets_twice, volume, user=user)
    followed = bench.follow(container.id, from_start=False)
    hold = bench.engine.fill_memory_volume(volume, files=FILES, probe_id=container.id, target=SECRETS_TARGET)
    bench.engine.start(container.id)
    hold.release()
    followed.until(b"tmpfs", "stderr")
    bench.engine.signal(container.id, "SIGUSR1")
    assert bench.end_of(container.id).exit_code == 0
    assert followed.whole()["stdout"] == WHOLE + WHOLE, "before and after the hold is released"
    assert listed(bench, volume) == b""


def test_files_are_gone_if_the_hold_is_released_before_a_container_runs(bench: Bench, volume: str) -> None:
    probe = create(bench, scripts.exits(0), volume)
    bench.engine.fill_memory_volume(volume, files=FILES, probe_id=probe.id, target=SECRETS_TARGET).release()
    assert listed(bench, volume) == b""


def test_a_hold_keeps_files_while_no_container_runs(bench: Bench, volume: str) -> None:
    probe = create(bench, scripts.exits(0), volume)
    hold = bench.engine.fill_memory_volume(volume, files=FILES, probe_id=probe.id, target=SECRETS_TARGET)
    assert listed(bench, volume) == b"key\nlong\n"
    assert listed(bench, volume) == b"key\nlong\n", "also after a container has ended"
    hold.release()


def test_releasing_twice_is_no_error(bench: Bench, volume: str) -> None:
    probe = create(bench, scripts.exits(0), volume)
    hold = bench.engine.fill_memory_volume(volume, files=FILES, probe_id=probe.id, target=SECRETS_TARGET)
    hold.release()
    hold.release()


def test_a_volume_is_not_removed_while_a_container_uses_it(bench: Bench, volume: str) -> None:
    container = create(bench, scripts.exits(0), volume)
    with pytest.raises(VolumeInUseError):
        bench.engine.remove_volume(volume)
    bench.engine.start(container.id)
    bench.end_of(container.id)
    with pytest.raises(VolumeInUseError):
        bench.engine.remove_volume(volume)
    bench.engine.remove(container.id)
    bench.engine.remove_volume(volume)
    assert bench.engine.find_volumes(bench.rig.labels) == {}


def test_a_removed_container_leaves_its_volume(bench: Bench, volume: str) -> None:
    """It is removed by name, since another container may need it."""
    bench.engine.remove(create(bench, scripts.exits(0), volume).id)
    assert list(bench.engine.find_volumes(bench.rig.labels)) == [volume]


def test_of_two_containers_with_one_volume_the_last_removes_it(bench: Bench, volume: str) -> None:
    """A host killed while it hands over secrets leaves both: the step's, and the one that fills the volume."""
    labels = {**bench.rig.labels, SECRETS: volume}
    filler, container = (create(bench, scripts.exits(0), volume, labels=labels).id for _ in range(2))
    remove_container(bench.engine, labels, filler)
    assert [state.id for state in bench.engine.find(bench.rig.labels)] == [container]
    assert list(bench.engine.find_volumes(bench.rig.labels)) == [volume]
    remove_container(bench.engine, labels, container)
    assert list(bench.engine.find(bench.rig.labels)) == []
    assert bench.engine.find_volumes(bench.rig.labels) == {}
