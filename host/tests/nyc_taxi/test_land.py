import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from fake_store import FakeStore, running_store

from nyc_taxi.landing.errors import ZoneError
from nyc_taxi.landing.folder import MonthlyFile, read_folder
from nyc_taxi.landing.land import Outcome, land, origin_of
from nyc_taxi.landing.zone import Access, LandingZone

JANUARY = "yellow_tripdata_2019-01.parquet"
FEBRUARY = "yellow_tripdata_2019-02.csv"
PATHS = [
    "a b",
    "a#b",
    "$HOME",
    "${x}",
    "a:b",
    "it's",
    'a"b',
    "é漢",
    "new\nline",
    " blanks ",
    "-n",
    "%41",
    "\\",
    "*?[a]",
]


class Seen:
    """What the landing reported of its progress."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.ended: dict[str, str] = {}
        self.gone: list[str] = []

    def begin(self, file: MonthlyFile) -> None:
        self.ended[file.name] = "begun"

    def sent(self, size: int) -> None:
        self.sizes.append(size)

    def end(self, file: MonthlyFile, what: str) -> None:
        self.ended[file.name] = what

    def replaced(self, name: str) -> None:
        self.gone.append(name)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def store(server: FakeStore) -> FakeStore:
    server.clear()
    return server


@functools.cache
def zone_at(address: str) -> LandingZone:
    return LandingZone(Access(address, "us-east-1", "s3://landing/yellow/", "key", "secret"))


def zone_of(store: FakeStore) -> LandingZone:
    return zone_at(store.address)


def land_folder(folder: Path, store: FakeStore, seen: Seen | None = None) -> Outcome:
    outcome = Outcome()
    land(read_folder(folder), zone_of(store), seen or Seen(), outcome)
    return outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "trips"
    folder.mkdir()
    (folder / JANUARY).write_bytes(b"January")
    (folder / FEBRUARY).write_bytes(b"February")
    return folder


def test_what_is_new_by_content_is_uploaded_and_nothing_else(folder: Path, store: FakeStore) -> None:
    first = land_folder(folder, store)
    assert (first.landed, first.unchanged, first.refused) == ([JANUARY, FEBRUARY], [], {})
    assert store.objects == {JANUARY: b"January", FEBRUARY: b"February"}
    os.utime(folder / JANUARY, (1, 1))
    second = land_folder(folder, store)
    assert (second.landed, second.unchanged) == ([], [JANUARY, FEBRUARY])
    # Of the same size and time, but another file.
    (folder / JANUARY).write_bytes(b"january")
    os.utime(folder / JANUARY, (1, 1))
    third = land_folder(folder, store)
    assert (third.landed, third.unchanged) == ([JANUARY], [FEBRUARY])
    assert store.objects[JANUARY] == b"january"
    assert store.requests.count("PUT") == 3


def test_an_object_that_came_some_other_way_is_replaced(folder: Path, store: FakeStore) -> None:
    store.put(JANUARY, b"January")
    assert JANUARY in land_folder(folder, store).landed
    assert store.metadata[JANUARY]["sha256"] == hashlib.sha256(b"January").hexdigest()


@pytest.mark.parametrize("name", PATHS)
def test_any_path_is_read_and_recorded(tmp_path: Path, store: FakeStore, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / JANUARY).write_bytes(b"January")
    assert land_folder(tmp_path / name, store).landed == [JANUARY]
    origin = store.metadata[JANUARY]["origin"]
    assert unquote_to_bytes(origin) == os.fsencode(tmp_path / name / JANUARY)
    assert store.metadata[JANUARY]["sha256"] == hashlib.sha256(b"January").hexdigest()


def test_of_a_very_long_path_the_end_is_recorded() -> None:
    """S3 takes 2 KB of an object's own metadata."""
    origin = origin_of(Path("/", *["é" * 40] * 30, "trips", JANUARY))
    assert len(origin) <= 1500
    assert unquote_to_bytes(origin).decode().startswith("…/ééé")
    assert origin.endswith(f"/trips/{JANUARY}")


def test_a_month_lands_in_place_of_its_other_formats(folder: Path, store: FakeStore) -> None:
    """A run prefers parquet, and would read the old file in place of the one that was just landed."""
    for name in ("yellow_tripdata_2019-02.parquet", "yellow_tripdata_2019-03.csv", "2019/yellow_tripdata_2019-02.csv"):
        store.put(name, b"old")
    seen = Seen()
    land_folder(folder, store, seen)
    assert seen.gone == ["yellow_tripdata_2019-02.parquet"]
    assert set(store.objects) == {JANUARY, FEBRUARY, "yellow_tripdata_2019-03.csv", "2019/yellow_tripdata_2019-02.csv"}
    (folder / "yellow_tripdata_2019-02.csv.gz").write_bytes(b"both")
    land_folder(folder, store, seen)
    assert {FEBRUARY, "yellow_tripdata_2019-02.csv.gz"} < set(store.objects)


def test_a_month_that_could_not_land_replaces_nothing(folder: Path, store: FakeStore) -> None:
    store.put("yellow_tripdata_2019-02.parquet", b"old")
    found = read_folder(folder)
    (folder / FEBRUARY).unlink()
    outcome, seen = Outcome(), Seen()
    land(found, zone_of(store), seen, outcome)
    assert outcome.landed == [JANUARY]
    assert "cannot read it: No such file or directory" in outcome.refused[FEBRUARY]
    assert set(store.objects) == {JANUARY, "yellow_tripdata_2019-02.parquet"}


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


CHANGES: list[Callable[[Path], object]] = [
    grow,
    lambda path: path.write_bytes(b"jANUARY"),
    lambda path: os.truncate(path, 3),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [7, 1_000_000])
def test_a_file_that_changes_while_it_is_sent_does_not_land(
    folder: Path, store: FakeStore, change: Callable[[Path], object], size: int
) -> None:
    """It is still being copied there: half a file would be a wrong month."""
    (folder / JANUARY).write_bytes(b"J" * size)
    os.utime(folder / JANUARY, (1, 1))
    found = read_folder(folder)

    class Changing(Seen):
        def sent(self, size: int) -> None:
            if size == 0 and self.ended.get(JANUARY) == "begun":
                change(folder / JANUARY)

    outcome = Outcome()
    land(found, zone_of(store), Changing(), outcome)
    assert "changed while it was read" in outcome.refused[JANUARY]
    assert outcome.landed == [FEBRUARY]
    assert set(store.objects) == {FEBRUARY}


def test_progress_counts_what_is_sent_and_not_what_is_only_read(folder: Path, store: FakeStore) -> None:
    (folder / JANUARY).write_bytes(b"J" * 100_000)
    seen = Seen()
    land_folder(folder, store, seen)
    assert seen.sizes[0] == 0
    january = seen.sizes[: seen.sizes.index(0, 1)]
    assert january == sorted(january)
    assert january[-1] == 100_000
    assert seen.ended == {JANUARY: "landed", FEBRUARY: "landed"}
    again = Seen()
    land_folder(folder, store, again)
    assert (again.sizes, again.ended) == ([], {JANUARY: "", FEBRUARY: ""})


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("SignatureDoesNotMatch", "'make up' sets the keys"),
        ("NoSuchBucket", "'make up' creates it"),
        ("XMinioStorageFull", "make logs SERVICE=minio"),
    ],
)
def test_a_refusal_of_the_store_says_what_to_do(folder: Path, store: FakeStore, code: str, says: str) -> None:
    store.refuses = code
    with pytest.raises(ZoneError, match=f"refuses ListObjectsV2 in s3://landing/yellow/: {code}, no\\. .*{says}"):
        zone_of(store).objects()
    with pytest.raises(ZoneError, match="403"):
        land_folder(folder, store)


def run(store: FakeStore | None, folder: Path, environment: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    port = store.address.rpartition(":")[2] if store else "9"
    environment.write_text(f"MINIO_PORT={port}\nS3_ACCESS_KEY_ID=key\nS3_SECRET_ACCESS_KEY=secret\nOTHER=1\n")
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "nyc_taxi.landing", "--environment-file", str(environment), "--", folder.name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        cwd=folder.parent,
    )


def test_the_command_says_what_landed_in_plain_lines(folder: Path, store: FakeStore, tmp_path: Path) -> None:
    done = run(store, folder, tmp_path / "stack.env", AWS_PROFILE="another", HTTP_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{JANUARY}: landed, 7 bytes\n"
        f"{FEBRUARY}: landed, 8 bytes\n"
        "Landing zone s3://landing/yellow/: 2 landed, 0 unchanged, 0 refused\n"
    )
    assert store.metadata[JANUARY]["origin"] == str(folder / JANUARY)
    again = run(store, folder, tmp_path / "stack.env")
    assert again.stdout == "Landing zone s3://landing/yellow/: 0 landed, 2 unchanged, 0 refused\n"


def test_the_command_fails_after_landing_the_others(folder: Path, store: FakeStore, tmp_path: Path) -> None:
    (folder / "yellow_tripdata_2021-03 (1).parquet").write_bytes(b"March")
    (folder / "yellow_tripdata_2021\n-\udcff.csv").write_bytes(b"odd")
    done = run(store, folder, tmp_path / "stack.env")
    assert done.returncode == 1
    assert "2 landed, 0 unchanged, 2 refused" in done.stdout
    assert "trips/yellow_tripdata_2021-03 (1).parquet was refused: it looks like a month's file" in done.stderr
    assert "trips/yellow_tripdata_2021\\n-\\xff.csv was refused" in done.stderr
    assert set(store.objects) == {JANUARY, FEBRUARY}


def test_the_command_says_why_nothing_can_land(folder: Path, tmp_path: Path) -> None:
    environment = tmp_path / "stack.env"
    away = run(None, folder, environment)
    assert (away.returncode, away.stdout) == (2, "")
    assert "http://127.0.0.1:9, which has the landing zone s3://landing/yellow/, does not answer" in away.stderr
    assert "'make up'" in away.stderr
    (folder / "empty").mkdir()
    empty = run(None, folder / "empty", environment)
    assert empty.returncode == 2
    assert f"The folder {folder / 'empty'} holds no file of a month" in empty.stderr
    assert "Traceback" not in away.stderr + empty.stderr


def test_a_folder_of_folders_is_said_to_be_one(folder: Path, store: FakeStore, tmp_path: Path) -> None:
    done = run(store, tmp_path, tmp_path.parent / "stack.env")
    assert done.returncode == 1
    assert f"trips was refused: it is a folder with 2 names, such as {JANUARY}" in done.stderr
    assert "0 landed" in done.stdout
    assert folder.exists()


def test_the_command_names_what_its_environment_file_lacks(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nyc_taxi.landing", "--environment-file", str(tmp_path / "none"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 2
    assert "lacks a valid MINIO_PORT, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY" in done.stderr
