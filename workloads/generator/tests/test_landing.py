import logging
from pathlib import Path

import pytest
from containers import Minio
from fake_store import URL, FakeStore, landing_at

from generator.errors import (
    LandedFileChangedError,
    LandedFileCorruptError,
    LandingAccessError,
    LandingError,
    LandingUnreachableError,
    TripFileError,
)
from generator.landing import LandedObject
from generator.month import Month

NAME = "yellow_tripdata_2024-01.parquet"
MONTH = Month(2024, 1)
CONTENT = b"0123456789" * 10


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small object take several requests."""
    monkeypatch.setattr("generator.landing.PART_BYTES", 30)


def found(store: FakeStore) -> LandedObject:
    """Return the month's file, which a test has put there."""
    landed = store.landing.find(MONTH)
    assert landed is not None
    return landed


def test_a_month_without_a_file_is_none(store: FakeStore) -> None:
    """The files of other months are not the month's, nor are those outside the folder."""
    store.put("yellow_tripdata_2024-02.parquet", CONTENT)
    store.objects[f"green/{NAME}"] = CONTENT, {}
    assert store.landing.find(MONTH) is None


def test_a_lookalike_is_an_error_that_names_the_landing_zone(store: FakeStore) -> None:
    """A file under a wrong name must not be passed over; folders are looked into."""
    store.put("2024/yellow_tripdata_2024-01.parquet", CONTENT)
    with pytest.raises(TripFileError, match=rf"\({URL}\).*2024/yellow_tripdata_2024-01\.parquet"):
        store.landing.find(MONTH)


def test_the_choice_between_two_formats_is_logged(store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    """The user learns which of both files was read."""
    store.put(NAME, CONTENT)
    store.put("yellow_tripdata_2024-01.csv", CONTENT, later_s=1)
    with caplog.at_level(logging.INFO):
        assert found(store).name == "yellow_tripdata_2024-01.csv"
    assert f"which landed last, not from {NAME}" in caplog.text


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [0, 1, 30, 31, 100])
def test_a_file_is_copied_whole_whatever_its_size(store: FakeStore, tmp_path: Path, size: int) -> None:
    """The copy has every byte once, and errors name where the file came from."""
    content = (CONTENT * 2)[:size]
    store.put(NAME, content, origin="/home/me/my%20files%231/x.parquet")
    copy = store.landing.download(found(store), tmp_path)
    assert copy.path.read_bytes() == content
    assert copy.path.name == copy.name == NAME
    assert copy.where == f"{URL}{NAME}, landed from /home/me/my files#1/x.parquet"
    assert len(store.requests) == max(1, -(-size // 30))


@pytest.mark.usefixtures("small_parts")
def test_a_file_that_changes_while_it_is_downloaded_is_an_error(store: FakeStore, tmp_path: Path) -> None:
    """Half of one version and half of another would be a file that nobody landed."""
    store.put(NAME, CONTENT)
    landed = found(store)
    store.before_get = lambda number: store.put(NAME, CONTENT[::-1]) if number == 2 else None
    with pytest.raises(
        LandedFileChangedError, match=rf"{URL}{NAME} changed before.*got another one.*materialize again"
    ):
        store.landing.download(landed, tmp_path)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("after", [0, 2])
def test_a_file_that_vanishes_is_an_error(store: FakeStore, tmp_path: Path, after: int) -> None:
    """It may vanish after it was found, or while it is downloaded."""
    store.put(NAME, CONTENT)
    landed = found(store)
    store.before_get = lambda number: store.objects.clear() if number == after else None
    with pytest.raises(LandedFileChangedError, match=r"vanished before.*got no object"):
        store.landing.download(landed, tmp_path)


def test_a_file_that_is_not_what_was_uploaded_is_an_error(store: FakeStore, tmp_path: Path) -> None:
    """The hash was taken from the file on the user's machine."""
    store.put(NAME, CONTENT, sha256="ab" * 32)
    with pytest.raises(LandedFileCorruptError, match=f"landed from /home/me/{NAME}.*expected SHA-256 abab.*make land"):
        store.landing.download(found(store), tmp_path)


def test_a_file_from_another_program_is_taken_with_a_warning(
    store: FakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a hash there is nothing to compare the content with."""
    store.objects[f"yellow/{NAME}"] = CONTENT, {}
    copy = store.landing.download(found(store), tmp_path)
    assert copy.where == f"{URL}{NAME}"
    assert "has no SHA-256" in caplog.text


def test_a_copy_that_cannot_be_written_is_named(store: FakeStore, tmp_path: Path) -> None:
    """A full disk is not the object store's fault."""
    store.put(NAME, CONTENT)
    with pytest.raises(LandingError, match=r"cannot be written .*space for 100 bytes; got No such file"):
        store.landing.download(found(store), tmp_path / "missing")


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (404, "NoSuchBucket")])
def test_a_refusal_names_the_credentials(store: FakeStore, tmp_path: Path, status: int, code: str) -> None:
    """A wrong secret and a missing bucket are set right in the same place."""
    store.put(NAME, CONTENT)
    landed = found(store)
    store.answer = status, f"<Error><Code>{code}</Code></Error>".encode()
    with pytest.raises(LandingAccessError, match=rf"{URL} cannot be listed .*{code}.*landing_secret_access_key"):
        store.landing.find(MONTH)
    if status == 403:
        with pytest.raises(LandingAccessError, match=rf"{URL}{NAME} cannot be read .*{code}"):
            store.landing.download(landed, tmp_path)


@pytest.mark.parametrize("name", ["a\tb", "a//b", "../b", "/b", "a\nb"])
def test_an_object_that_stands_in_the_way_of_the_listing_is_named(store: FakeStore, name: str) -> None:
    """Any program may have put it there, and every month is red until it is gone: the store itself is not at fault."""
    store.put(NAME, CONTENT)
    store.put(name, CONTENT)
    with pytest.raises(
        LandingError, match=r"an object in it has a name .*yellow/.*to do: remove that object"
    ) as caught:
        store.landing.find(MONTH)
    assert not isinstance(caught.value, LandingUnreachableError)


def test_an_object_store_that_fails_is_named_with_its_answer(store: FakeStore) -> None:
    """An error of the store is not one of the credentials."""
    store.answer = 500, b"<Error><Code>InternalError</Code></Error>"
    with pytest.raises(LandingUnreachableError, match=r"InternalError.*S3_ENDPOINT"):
        store.landing.find(MONTH)


def test_an_object_store_that_is_down_is_named_with_the_reason() -> None:
    """The message has the address, the reason, and no page of debugging output."""
    landing = landing_at("http://127.0.0.1:1")
    with pytest.raises(LandingUnreachableError, match=r"127.0.0.1:1\).*Connection refused; to do: look") as caught:
        landing.find(MONTH)
    assert len(str(caught.value)) < 700


def test_a_real_object_store_gives_what_the_stand_in_gives(minio: Minio, tmp_path: Path) -> None:
    """A reader of nothing but the landing zone gets the file with its metadata, and nothing else."""
    minio.mc("pipe", "--attr", "origin=/home/me/a%20b", f"local/landing/yellow/{NAME}", stdin=CONTENT)
    zone = landing_at(minio.endpoint, key=minio.reader, secret=minio.reader_password)
    landed = zone.find(MONTH)
    assert landed is not None
    copy = zone.download(landed, tmp_path)
    assert copy.path.read_bytes() == CONTENT
    assert copy.where == f"{URL}{NAME}, landed from /home/me/a b"
    minio.mc("pipe", f"local/landing/yellow/{NAME}", stdin=CONTENT[::-1])
    with pytest.raises(LandedFileChangedError):
        zone.download(landed, tmp_path)
    minio.mc("rm", f"local/landing/yellow/{NAME}")
    with pytest.raises(LandedFileChangedError):
        zone.download(landed, tmp_path)
    for url, secret in ((URL, "wrong"), ("s3://warehouse/", minio.reader_password), ("s3://none/", "wrong")):
        with pytest.raises(LandingAccessError):
            landing_at(minio.endpoint, url, key=minio.reader, secret=secret).find(MONTH)
