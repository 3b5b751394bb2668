"""A capsule is a stranger's file: whatever it is made of, it is refused in words, in bounded memory and time."""

import gzip
import io
import json
import resource
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drayage import ExchangeError
from drayage.exchange.directory import Exchange
from drayage.exchange.history import read_step
from drayage.replay.capsule import open_capsule, write_capsule

IDENTITY = {"deployment": "d", "run_id": "run", "root_run_id": "run", "step": "step", "attempt": 0, "call": 0}
RECORD: dict[str, Any] = {
    "format_version": 1,
    "identity": IDENTITY,
    "fingerprint": "f",
    "container_id": "c",
    "container_name": "n",
    "image": "image",
    "image_id": "sha256:1",
    "command": ["true"],
    "created_at_s": 1.0,
}
FILES = {
    "versions.json": b'{"format": 1}',
    "io/context.json": b'{"asset_keys": ["a"], "extras": {"limit": 5}}',
    "container.json": json.dumps(RECORD).encode(),
}
GIB = 2**30

Change = Callable[[tarfile.TarFile], None]


@pytest.fixture(autouse=True)
def memory_is_bounded() -> Iterator[None]:
    """Fail any allocation that a hostile size would lead to."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing may be left where capsules are opened."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    tar.addfile(member, io.BytesIO(content))


def capsule(path: Path, *changes: Change, files: dict[str, bytes] = FILES) -> Path:
    """Write a capsule that is in order but for the changes."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            add(tar, name, content)
        for change in changes:
            change(tar)
    return path


def record(**update: Any) -> dict[str, bytes]:
    return {**FILES, "container.json": json.dumps({**RECORD, **update}).encode()}


def refusal(path: Path) -> str:
    with pytest.raises(ExchangeError) as refused, open_capsule(path):
        pass
    said = str(refused.value)
    assert said.startswith(f"{path} is ")
    assert said.isprintable(), said
    assert len(said) < 1000
    return said


def test_a_capsule_in_order_is_opened_and_its_directory_removed(tmp_path: Path) -> None:
    with open_capsule(capsule(tmp_path / "capsule")) as step:
        assert step.step == "step"
        assert step.asset_names() == {"a"}
        assert step.attempt.path.stat().st_mode & 0o777 == 0o700
    assert not step.attempt.path.exists()


def test_what_is_written_can_be_opened(tmp_path: Path) -> None:
    attempt = Exchange(tmp_path / "exchange").create("run/step/0")
    attempt.context.write_text('{"asset_keys": ["a"]}')
    attempt.write_json("container.json", RECORD)
    attempt.messages.write_bytes(b'{"method":"opened"}\n' * 100_000)
    attempt.stdout.write_bytes(b"x" * 3_000_000)
    write_capsule(read_step(attempt), tmp_path / "capsule")
    with open_capsule(tmp_path / "capsule") as step:
        assert step.asset_names() == {"a"}
    with tarfile.open(tmp_path / "capsule") as tar:
        assert {member.name: member.size for member in tar}["io/messages.jsonl"] == 2_000_000
        assert tar.getmember("stdout.log").size == 3_000_000


def test_a_step_that_is_too_large_makes_no_capsule(tmp_path: Path) -> None:
    """What no other machine would open is not written."""
    attempt = Exchange(tmp_path / "exchange").create("run/step/0")
    attempt.write_json("container.json", RECORD)
    for file, size_bytes in ((attempt.context, 2**24 + 1), (attempt.stdout, 2**31 + 1)):
        with file.open("wb") as sparse:
            sparse.truncate(size_bytes)
        with pytest.raises(ExchangeError, match="too large for a capsule"):
            write_capsule(read_step(attempt), tmp_path / "capsule")
        file.unlink()
    assert not list(tmp_path.glob("*capsule*"))


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("container.json", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("container.json", {"type": tarfile.LNKTYPE, "linkname": "versions.json"}),
        ("io/context.json", {"type": tarfile.SYMTYPE, "linkname": "../../../etc/shadow"}),
        ("io/context.json", {"type": tarfile.FIFOTYPE}),
        ("io/context.json", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
        ("io/context.json", {"type": tarfile.BLKTYPE, "devmajor": 8}),
        ("io/context.json", {"type": tarfile.DIRTYPE}),
    ],
)
def test_only_regular_files_are_read(tmp_path: Path, name: str, attributes: dict[str, Any]) -> None:
    files = {known: content for known, content in FILES.items() if known != name}
    said = refusal(capsule(tmp_path / "capsule", lambda tar: add(tar, name, **attributes), files=files))
    assert f"{name} is not a regular file" in said


@pytest.mark.parametrize(
    "name", ["/etc/cron.d/x", "../../x", "io/../../x", "io", "./container.json", "CONTAINER.JSON", "x\x1b[2J\u202ey"]
)
def test_a_name_that_no_capsule_has_is_refused(tmp_path: Path, name: str) -> None:
    assert "which is in no capsule" in refusal(capsule(tmp_path / "capsule", lambda tar: add(tar, name, b"x")))


@pytest.mark.parametrize("name", [*FILES, "stdout.log"])
def test_a_file_that_is_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever looks into the capsule first must not see another record than the one that is used."""
    path = capsule(tmp_path / "capsule", lambda tar: add(tar, name, b"{}"), lambda tar: add(tar, name, b"{}"))
    assert f"it holds {name} twice" in refusal(path)


def test_a_file_of_zeros_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "capsule"
    for name in ("io/context.json", "container.json", "stdout.log"):
        with gzip.open(path, "wb", compresslevel=1) as file:
            member = tarfile.TarInfo(name)
            member.size = 3 * GIB
            file.write(member.tobuf(tarfile.GNU_FORMAT))
            for _ in range(64):
                file.write(bytes(2**20))
        assert "is not a regular file of at most" in refusal(path)


def test_two_gibibytes_of_zeros_after_the_last_file_are_skipped_or_refused(tmp_path: Path) -> None:
    path = capsule(tmp_path / "capsule")
    zeros = gzip.compress(bytes(2**26), 1)
    with path.open("ab") as file:
        file.writelines([zeros] * 33)
    with open_capsule(path) as step:
        assert step.step == "step"


def test_logs_that_unpack_to_too_much_together_are_refused(tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(2**26), 1)
    path = tmp_path / "capsule"
    with path.open("wb") as file:
        for name in ("stdout.log", "stderr.log"):
            member = tarfile.TarInfo(name)
            member.size = 20 * 2**26
            file.write(gzip.compress(member.tobuf(tarfile.GNU_FORMAT)))
            file.writelines([zeros] * 20)
    assert "unpacks to more than" in refusal(path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    """A hole costs its author nothing."""
    path = tmp_path / "capsule"
    member = tarfile.TarInfo("io/context.json")
    member.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**23)}
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member)
    assert "io/context.json is not a regular file" in refusal(path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_of_a_gibibyte_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Headers are read at once, so the size that they claim must be checked first."""
    path = tmp_path / "capsule"
    with gzip.open(path, "wb", compresslevel=1) as file:
        member = tarfile.TarInfo("header")
        member.type, member.size = kind, GIB
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**24))
    assert "a header of it claims to be" in refusal(path)


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "capsule"
    with gzip.open(path, "wb", compresslevel=1) as file:
        header = tarfile.TarInfo.create_pax_global_header({"comment": "x" * 10_000})
        for _ in range(20_000):
            file.write(header)
    refusal(path)


@pytest.mark.parametrize("size", [b"-0000000001\0", b"\xff" * 12, b"\x80" + b"\x7f" * 11, b"7777777777z\0"])
def test_an_impossible_size_is_refused(tmp_path: Path, size: bytes) -> None:
    """A negative size would lead backwards, for ever."""
    path = tmp_path / "capsule"
    header = bytearray(tarfile.TarInfo("io/context.json").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(gzip.compress(bytes(header) + bytes(1024)))
    refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b"no tar" * 1000),
        gzip.compress(bytes(2**20))[:-9],
        b"\x1f\x8b",
    ],
)
def test_anything_else_is_no_capsule(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "capsule").write_bytes(content)
    refusal(tmp_path / "capsule")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 2_000_000,
        b'{"identity":' * 300_000,
        b"9" * 1_000_000,
        json.dumps({**RECORD, "identity": "step"}).encode(),
        json.dumps({**RECORD, "format_version": 2}).encode(),
        json.dumps({**RECORD, "command": {"a": 1}}).encode(),
        json.dumps({**RECORD, "environment": {"A": {"\x1b[2J": 1}}}).encode(),
        json.dumps({**RECORD, "settings": {"privileged": True}}).encode(),
        json.dumps({**RECORD, "settings": {"mounts": ["/:/host"]}}).encode(),
        json.dumps({**RECORD, "settings": {"stop_signal": "\ud800"}}).encode(),
        json.dumps({**RECORD, "secrets": {"a": {"command": "id"}}}).encode(),
        json.dumps({**RECORD, "container_kwargs": ["privileged"]}).encode(),
        json.dumps({**RECORD, "promised": {"a": {"rows": {"types": "all"}}}}).encode(),
        json.dumps({**RECORD, "adapter": "pickle"}).encode(),
    ],
)
def test_a_record_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "its records cannot be read" in refusal(
        capsule(tmp_path / "capsule", files={**FILES, "container.json": content})
    )


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"{", b"[" * 2_000_000, b"\xff"])
def test_a_context_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    refusal(capsule(tmp_path / "capsule", files={**FILES, "io/context.json": content}))


@pytest.mark.parametrize(
    "content", [b'{"format": 2}', b'{"format": "1"}', b"[]", b"{", b"[" * 50_000, b'{"format": "\\u001b"}']
)
def test_another_format_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "is a capsule of format" in refusal(capsule(tmp_path / "capsule", files={**FILES, "versions.json": content}))


@pytest.mark.parametrize("missing", ["versions.json", "container.json"])
def test_a_capsule_that_lacks_a_record_is_refused(tmp_path: Path, missing: str) -> None:
    files = {name: content for name, content in FILES.items() if name != missing}
    assert f"it lacks {missing}" in refusal(capsule(tmp_path / "capsule", files=files))


@pytest.mark.parametrize(
    "update",
    [
        {"image": "debian\x1b[2K\rharmless"},
        {"image_id": "\u202edaer"},
        {"identity": {**IDENTITY, "step": "a\nContinue? [y/N]: y"}},
        {"identity": {**IDENTITY, "run_id": "\ud800"}},
        {"environment": {"A\nB": "1"}},
        {"secrets": {"\x07": {"variable": "A"}}},
    ],
)
def test_a_name_that_steers_the_terminal_is_refused(tmp_path: Path, update: dict[str, Any]) -> None:
    assert "not text for one line" in refusal(capsule(tmp_path / "capsule", files=record(**update)))


def test_a_variable_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    """Pipes' own variables are compressed."""
    files = record(environment={"DAGSTER_PIPES_MESSAGES": "x" * 200_000})
    assert "DAGSTER_PIPES_MESSAGES is longer" in refusal(capsule(tmp_path / "capsule", files=files))
