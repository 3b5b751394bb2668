"""A container gets everything in its specification, and is described accordingly."""

import shlex
import uuid
from pathlib import Path
from typing import Any

import pytest
import shell_scripts as scripts
from engine_bench import Bench
from engine_rigs import IMAGE

from drayage.engine import ContainerSpec, Mount
from drayage.errors import EngineError, ImageMissingError, SettingsError


def own_name() -> str:
    """Return a name that no other test session uses."""
    return f"engine-contract-{uuid.uuid4().hex[:8]}"


def test_a_created_container_is_described_and_does_not_run(bench: Bench) -> None:
    name = own_name()
    created = bench.create(scripts.exits(0), name=name, memory_bytes=2**26, labels={"a": "b", "c": ""})
    assert (created.name, created.image) == (name, IMAGE)
    assert created.image_id == bench.engine.resolve(IMAGE, pull="never")
    assert (created.status, created.ended) == ("created", False)
    assert (created.exit_code, created.oom_killed, created.error) == (0, False, "")
    assert (created.started_at_s, created.finished_at_s) == (0.0, 0.0)
    assert created.memory_limit_bytes == 2**26
    assert {**created.labels, **bench.rig.labels, "a": "b", "c": ""} == created.labels
    assert bench.engine.state(created.id) == created


def test_a_container_without_a_limit_reports_zero(bench: Bench) -> None:
    assert bench.create(scripts.exits(0)).memory_limit_bytes == 0


def test_unnamed_containers_get_distinct_names_and_ids(bench: Bench) -> None:
    one, other = (bench.create(scripts.exits(0)) for _ in range(2))
    assert one.id != other.id
    assert one.name != other.name


def test_a_name_that_is_taken_is_refused(bench: Bench) -> None:
    name = own_name()
    bench.create(scripts.exits(0), name=name)
    with pytest.raises(EngineError):
        bench.create(scripts.exits(0), name=name)


def test_a_missing_image_is_named(bench: Bench) -> None:
    with pytest.raises(ImageMissingError, match="contract-no-such-image"):
        bench.engine.create(ContainerSpec("contract-no-such-image", labels=bench.rig.labels))


def test_a_missing_bind_source_is_an_error_and_is_not_created(bench: Bench, tmp_path: Path) -> None:
    """Docker's ``-v`` would create it, empty and owned by root. The mistake is the caller's, not the engine's."""
    with pytest.raises(SettingsError):
        bench.run(scripts.exits(0), mounts=[Mount(str(tmp_path / "nowhere"), "/in", kind="local")])
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_network_is_an_error(bench: Bench) -> None:
    with pytest.raises(EngineError):
        bench.run(scripts.exits(0), networks=["contract-no-such-network"])


def test_a_container_that_cannot_join_its_second_network_is_not_left_behind(bench: Bench) -> None:
    """A step that never had its container has none to clean up."""
    with pytest.raises(EngineError):
        bench.create(scripts.exits(0), networks=[bench.rig.create_network(), "contract-no-such-network"])
    assert list(bench.engine.find(bench.rig.labels)) == []


def test_the_environment_arrives_unchanged(bench: Bench) -> None:
    odd = "a=b 'c' \"d\" $e\té\n€"
    printed = bench.output_of(scripts.prints_environment, environment={"PLAIN": "1", "ODD": odd, "EMPTY": ""})
    assert printed == f"<1><{odd}><><unset>"


def test_the_images_own_command_runs_if_none_is_given(bench: Bench) -> None:
    """Debian's is a shell, which has no input and exits."""
    assert bench.end_of(bench.run(None).id).exit_code == 0


def test_a_command_in_one_string_is_split_as_a_shell_would(bench: Bench) -> None:
    command = shlex.join(bench.rig.command(scripts.exits(7)))
    assert bench.end_of(bench.run(command).id).exit_code == 7


@pytest.mark.parametrize(("user", "ids"), [(None, ["0", "0"]), ("1234:99", ["1234", "99"])])
def test_the_user_is_the_images_unless_one_is_given(bench: Bench, user: str | None, ids: list[str]) -> None:
    assert bench.output_of(scripts.prints_user, user=user).split() == ids


@pytest.mark.parametrize(
    ("restriction", "free"),
    [
        ({}, {"writable_root", "new_privileges", "capabilities"}),
        ({"read_only_root": True}, {"new_privileges", "capabilities"}),
        ({"no_new_privileges": True}, {"writable_root", "capabilities"}),
        ({"cap_drop": ("ALL",)}, {"writable_root", "new_privileges"}),
        ({"init": False}, {"writable_root", "new_privileges", "capabilities", "no_init"}),
    ],
    ids=str,
)
def test_each_restriction_holds_by_itself(bench: Bench, restriction: dict[str, Any], free: set[str]) -> None:
    assert set(bench.output_of(scripts.prints_freedoms, **restriction).split()) == free


def test_limits_apply_in_the_container(bench: Bench) -> None:
    printed = bench.output_of(scripts.prints_limits, cpus=0.5, memory_bytes=2**26, shm_bytes=2**20).split()
    quota, period, memory_bytes, shm_bytes = map(int, printed)
    assert (quota / period, memory_bytes, shm_bytes) == (0.5, 2**26, 2**20)


def test_a_container_without_a_network_has_only_loopback(bench: Bench) -> None:
    assert bench.output_of(scripts.prints_network_interfaces, networks=["none"]).split() == ["lo"]


def test_a_container_joins_all_its_networks(bench: Bench) -> None:
    networks = [bench.rig.create_network() for _ in range(2)]
    printed = bench.output_of(scripts.prints_network_interfaces, networks=networks)
    assert sorted(printed.split()) == ["eth0", "eth1", "lo"]


def test_a_bind_mount_shows_the_hosts_files_and_is_writable_only_if_asked(bench: Bench) -> None:
    folder = bench.rig.shared_folder()
    for name in ("in", "out"):
        (folder / name).mkdir()
    (folder / "in" / "file").write_text("from the host")
    mounts = [
        Mount(str(folder / "in"), "/in", kind="local"),
        Mount(str(folder / "out"), "/out", kind="local", read_only=False),
    ]
    assert bench.output_of(scripts.copies_a_file, mounts=mounts) == "refused\n"
    assert (folder / "in" / "file").read_text() == "from the host"
    assert (folder / "out" / "file").read_text() == "from the host"


def test_a_memory_backed_directory_is_writable_up_to_its_size(bench: Bench) -> None:
    """Also if the root file system is read-only."""
    scratch = Mount("", "/scratch", kind="tmpfs", size_bytes=2**20)
    assert bench.output_of(scripts.fills_scratch, mounts=[scratch], read_only_root=True) == "refused\nkept\n"


def test_the_engines_own_arguments_win(bench: Bench) -> None:
    kwargs = bench.rig.memory_kwargs(2**27)
    assert bench.create(scripts.exits(0), memory_bytes=2**26, options=kwargs).memory_limit_bytes == 2**27
