"""A container's secrets are files in memory, from its start to its end."""

import pytest
import shell_scripts as scripts
from engine_bench import Bench

from drayage.errors import EntrypointError

FILES = {"key": b"\x00\xff\n\r\nhush", "long": b"x" * 10_000}
WHOLE = b"".join(FILES.values())


@pytest.mark.parametrize("spec", [{}, {"user": "1234:99"}, {"read_only_root": True, "init": False}])
def test_the_secrets_are_there_from_the_start_to_the_end(bench: Bench, spec: dict[str, object]) -> None:
    container = bench.create(scripts.reads_secrets_twice, secrets=FILES, **spec)
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    followed.until(b"tmpfs", "stderr")
    bench.rig.signal(container.id, "SIGUSR1")
    assert bench.end_of(container.id).exit_code == 0
    assert followed.whole()["stdout"] == WHOLE + WHOLE


def test_the_secrets_are_read_only(bench: Bench) -> None:
    assert bench.output_of(scripts.writes_among_secrets, secrets=FILES) == "refused\n"


@pytest.mark.parametrize("size_bytes", [0, 1, 3 * 2**20])
def test_a_secret_of_any_size_fits(bench: Bench, size_bytes: int) -> None:
    container = bench.create(scripts.sizes_of_secrets, secrets={"one": b"s" * size_bytes})
    followed = bench.follow(container.id, from_start=False)
    bench.engine.start(container.id)
    bench.end_of(container.id)
    assert followed.whole()["stdout"] == f"{size_bytes}\n".encode()


def test_nothing_but_the_container_is_left_after_the_start(bench: Bench) -> None:
    """What holds the secrets until the container has them goes at once."""
    container = bench.run(scripts.exits(0), secrets=FILES)
    assert [it.id for it in bench.engine.find(bench.rig.labels)] == [container.id]
    bench.end_of(container.id)
    bench.engine.remove(container.id)
    assert bench.rig.left_behind() == 0


def test_a_container_that_is_never_started_leaves_nothing(bench: Bench) -> None:
    bench.engine.remove(bench.create(scripts.exits(0), secrets=FILES).id)
    assert bench.rig.left_behind() == 0
    assert list(bench.engine.find(bench.rig.labels)) == []


def test_a_container_that_cannot_be_started_leaves_nothing_but_itself(bench: Bench) -> None:
    container = bench.create(["/no-such-program"], init=False, secrets=FILES)
    with pytest.raises(EntrypointError):
        bench.engine.start(container.id)
    assert [it.id for it in bench.engine.find(bench.rig.labels)] == [container.id]
    bench.engine.remove(container.id)
    assert bench.rig.left_behind() == 0
