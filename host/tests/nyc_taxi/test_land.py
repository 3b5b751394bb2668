import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from fake_store import FakeStore, running_store

from nyc_taxi.landing.errors import LandingError, ZoneError
from nyc_taxi.landing.folder import MonthlyFile, read_folder
from nyc_taxi.landing.land import Outcome, land, origin_of
from nyc_taxi.landing.zone import Access, LandingZone, current_files

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
        self.notes: dict[str, str] = {}

    def begin(self, file: MonthlyFile) -> None:
        self.ended[file.name] = "begun"

    def sent(self, size: int) -> None:
        self.sizes.append(size)

    def end(self, file: MonthlyFile, what: str) -> None:
        self.ended[file.name] = what

    def note(self, name: str, what: str) -> None:
        self.notes[name] = what


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


def read_by_runs(store: FakeStore) -> dict[str, str]:
    """Return the file that a run of each month reads."""
    return {month: each.name for month, each in current_files(zone_of(store).objects()).items()}


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


def test_a_month_that_lands_is_read_and_no_file_of_it_is_lost(folder: Path, store: FakeStore) -> None:
    """A run reads what landed last; what else is there of the month is said, and stays."""
    others = ("yellow_tripdata_2019-02.parquet", "yellow_tripdata_2019-03.csv", "2019/yellow_tripdata_2019-02.csv")
    for name in others:
        store.put(name, b"old")
    seen = Seen()
    assert land_folder(folder, store, seen).landed == [JANUARY, FEBRUARY]
    assert read_by_runs(store) == {"2019-01": JANUARY, "2019-02": FEBRUARY, "2019-03": others[1]}
    assert seen.notes == {others[0]: f"is in the landing zone too; runs read {FEBRUARY}, which landed last"}
    assert set(store.objects) == {JANUARY, FEBRUARY, *others}


def test_a_file_lands_again_after_another_of_its_month(folder: Path, store: FakeStore) -> None:
    """Its content is there already, but runs read the other: whoever lands it means it to be read."""
    land_folder(folder, store)
    store.put("yellow_tripdata_2019-02.parquet", b"somebody else's")
    again = land_folder(folder, store)
    assert (again.landed, again.unchanged, again.refused) == ([FEBRUARY], [JANUARY], {})
    assert read_by_runs(store)["2019-02"] == FEBRUARY
    assert land_folder(folder, store).unchanged == [JANUARY, FEBRUARY]


def test_of_two_formats_in_a_folder_one_lands_and_the_other_is_named(folder: Path, store: FakeStore) -> None:
    (folder / "yellow_tripdata_2019-02.parquet").write_bytes(b"both")
    seen = Seen()
    assert land_folder(folder, store, seen).landed == [JANUARY, "yellow_tripdata_2019-02.parquet"]
    assert seen.notes == {
        FEBRUARY: "not landed, since the folder has yellow_tripdata_2019-02.parquet of the same month"
    }
    assert FEBRUARY not in store.objects


def test_a_month_that_could_not_land_changes_nothing(folder: Path, store: FakeStore) -> None:
    store.put("yellow_tripdata_2019-02.parquet", b"old")
    found = read_folder(folder)
    (folder / FEBRUARY).unlink()
    outcome, seen = Outcome(), Seen()
    land(found, zone_of(store), seen, outcome)
    assert outcome.landed == [JANUARY]
    assert "cannot read it: No such file or directory" in outcome.refused[FEBRUARY]
    assert set(store.objects) == {JANUARY, "yellow_tripdata_2019-02.parquet"}


def land_between(store: FakeStore, name: str, content: bytes, *, method: str, nth: int = 1) -> None:
    """Let somebody else land a file before a request is answered."""
    seen: list[str] = []

    def act(now: str, _name: str) -> None:
        seen.append(now)
        if now == method and seen.count(method) == nth:
            digest = hashlib.sha256(content).hexdigest()
            store.put(name, content, sha256=digest, origin="/home/ann/a%20b/" + name)

    store.before = act


@pytest.mark.parametrize("was_there", [False, True])
def test_another_file_of_the_same_name_that_lands_at_once_is_not_overwritten_unseen(
    folder: Path, store: FakeStore, *, was_there: bool
) -> None:
    """Of two people, the second is told of the first, and decides."""
    if was_there:
        store.put(JANUARY, b"old")
    land_between(store, JANUARY, b"Ann's", method="PUT")
    outcome = land_folder(folder, store)
    assert outcome.landed == [FEBRUARY]
    assert (
        f"another file of this name landed at the same time, from /home/ann/a b/{JANUARY}, and stays"
        in (outcome.refused[JANUARY])
    )
    assert store.objects[JANUARY] == b"Ann's"
    assert land_folder(folder, store).landed == [JANUARY]
    assert store.objects[JANUARY] == b"January"


def test_the_same_content_that_lands_at_once_is_no_other_file(folder: Path, store: FakeStore) -> None:
    """So is a request that is repeated, because the answer to the first was lost."""
    land_between(store, JANUARY, b"January", method="PUT")
    outcome = land_folder(folder, store)
    assert (outcome.landed, outcome.refused) == ([JANUARY, FEBRUARY], {})


@pytest.mark.parametrize("theirs", [JANUARY, "yellow_tripdata_2019-01.csv"])
@pytest.mark.parametrize("mine_is_new", [True, False])
def test_a_landing_that_another_overtook_says_which_file_runs_read(
    folder: Path, store: FakeStore, theirs: str, *, mine_is_new: bool
) -> None:
    """Whoever runs the month next would read somebody else's file, and take it for this one."""
    if not mine_is_new:
        land_folder(folder, store)
        store.requests.clear()
    land_between(store, theirs, b"Ann's", method="GET", nth=2)
    outcome = land_folder(folder, store)
    assert (outcome.landed or outcome.unchanged) == [FEBRUARY]
    assert (
        f"somebody else lands the same month: {theirs} landed after it, and runs read that"
        in (outcome.refused[JANUARY])
    )
    assert read_by_runs(store)["2019-01"] == theirs


def test_a_file_that_is_removed_while_others_land_is_named(folder: Path, store: FakeStore) -> None:
    def act(method: str, _name: str) -> None:
        if method == "GET" and JANUARY in store.objects:
            del store.objects[JANUARY]

    store.before = act
    assert "it was removed again" in land_folder(folder, store).refused[JANUARY]


def test_a_landing_that_was_killed_at_any_request_is_made_good_by_the_next(folder: Path, store: FakeStore) -> None:
    """Nothing is removed and nothing is noted elsewhere, so that there is no half of a landing."""

    class Killed(BaseException):
        pass

    class Killing(Seen):
        def begin(self, file: MonthlyFile) -> None:
            super().begin(file)
            self.check()

        def end(self, file: MonthlyFile, what: str) -> None:
            super().end(file, what)
            self.check()

        def sent(self, size: int) -> None:
            super().sent(size)
            self.check()

        def note(self, name: str, what: str) -> None:
            super().note(name, what)
            self.check()

        def check(self) -> None:
            self.left = getattr(self, "left", 0) - 1
            if self.left == 0:
                raise Killed

    (folder / "yellow_tripdata_2019-01.csv").write_bytes(b"passed over")
    for moment in range(1, 30):
        store.clear()
        store.put("yellow_tripdata_2019-02.parquet", b"old")
        seen = Killing()
        seen.left = moment
        try:
            land(read_folder(folder), zone_of(store), seen, Outcome())
        except Killed:
            assert store.objects["yellow_tripdata_2019-02.parquet"] == b"old"
            again = land_folder(folder, store)
            assert (sorted([*again.landed, *again.unchanged]), again.refused) == ([JANUARY, FEBRUARY], {})
            assert read_by_runs(store) == {"2019-01": JANUARY, "2019-02": FEBRUARY}
        else:
            assert moment > 5
            break
    else:
        pytest.fail("the landing never ended")


@pytest.mark.parametrize("months", [("2019-01", "2019-02"), ("2019-01", "2019-01")])
def test_two_people_land_at_once_from_folders_of_their_own(
    tmp_path: Path, store: FakeStore, months: tuple[str, str]
) -> None:
    """Of two months both land; of one month one of both is told, unless the other landed after it ended."""
    commands = []
    for name, month, ending in (("ann's #1 $HOME", months[0], "csv"), ("bob: 2", months[1], "parquet")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"yellow_tripdata_{month}.{ending}").write_bytes(name.encode() * 100_000)
        commands.append((tmp_path / name, tmp_path / f"{month}.{ending}.env"))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda command: run(store, *command), commands))
    assert len(store.objects) == 2
    codes = [each.returncode for each in done]
    if months[0] != months[1]:
        assert codes == [0, 0], done
        return
    assert 0 in codes, done
    (read,) = read_by_runs(store).values()
    assert codes[read.endswith("parquet")] == 0, done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as somebody else")
def test_a_folder_is_read_as_the_user_who_calls(tmp_path: Path, store: FakeStore) -> None:
    """Folders and files that only he may read land; those that he may not read are named."""
    user = 65534
    home = tmp_path / "home"
    others, file = tmp_path / "others", home / "trips" / JANUARY
    file.parent.mkdir(parents=True)
    others.mkdir(mode=0o700)
    file.write_bytes(b"January")
    (home / "trips" / FEBRUARY).write_bytes(b"February")
    for each in (home, file.parent, file):
        os.chown(each, user, user)
        each.chmod(0o700)
    (home / "trips" / FEBRUARY).chmod(0o600)
    found = read_as(user, [str(file.parent), str(others)], tmp_path, store)
    assert f"landed: {JANUARY}" in found
    assert f"{FEBRUARY}: you cannot read it: Permission denied. Give read permission, or take it away." in found
    assert f"The folder {others} cannot be read (Permission denied)" in found
    assert set(store.objects) == {JANUARY}


def read_as(user: int, folders: list[str], tmp_path: Path, store: FakeStore) -> str:
    """Land folders in a process that has become another user, whom the installation itself may not let in."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o711)
    said, written = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            zone_of(store).objects()
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            lines = []
            for folder in folders:
                outcome = Outcome()
                try:
                    land(read_folder(Path(folder)), zone_of(store), Seen(), outcome)
                except LandingError as error:
                    lines.append(str(error))
                lines += [f"landed: {name}" for name in outcome.landed]
                lines += [f"{name}: {reason}" for name, reason in outcome.refused.items()]
            os.write(written, "\n".join(lines).encode())
        finally:
            os._exit(0)
    os.close(written)
    with os.fdopen(said) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


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
    with pytest.raises(ZoneError, match=rf"refuses ListObjectsV2 .*{code}"):
        land_folder(folder, store)
    with pytest.raises(ZoneError, match=r"refuses HeadObject .*403"):
        zone_of(store).find(JANUARY)


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
