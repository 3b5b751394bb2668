"""Each step prints to its own log, and everything else where the process prints."""

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from dagster._core.storage.cloud_storage_compute_log_manager import CloudStorageComputeLogManager
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

from drayage.dagster_internals import runs
from drayage.executor.streams import routed_streams, writing_to
from drayage.threads import background


@contextmanager
def log(folder: Path, name: str) -> Iterator[Mapping[str, IO[str]]]:
    with (folder / name).open("a+", encoding="utf-8") as stream:
        yield {"stdout": stream}


def test_a_thread_of_a_step_prints_to_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with routed_streams(), log(tmp_path, "one") as streams:
        with writing_to(streams):
            print("of the step")  # noqa: T201 - what is tested
            thread = background(print, "of its thread", name="test")
            print("an error", file=sys.stderr)  # noqa: T201 - as above
            subprocess.run(["echo", "of its child"], check=True, stdout=sys.stdout)  # noqa: S607 - as above
            sys.stdout.buffer.write(b"bytes\n")
            sys.stdout.flush()
            assert sys.stdout.encoding == "utf-8"
            assert not sys.stdout.isatty()
        thread.start()
        thread.join()
        print("of nobody")  # noqa: T201 - as above
    printed = (tmp_path / "one").read_text(encoding="utf-8").splitlines()
    assert sorted(printed) == sorted(["of the step", "of its child", "bytes", "of its thread"])
    assert capsys.readouterr() == ("of nobody\n", "an error\n"), "there is no log of errors"


def test_a_whole_line_can_be_read_at_once(tmp_path: Path) -> None:
    with routed_streams(), log(tmp_path, "one") as streams, writing_to(streams):
        print("at once")  # noqa: T201 - as above
        assert (tmp_path / "one").read_text(encoding="utf-8") == "at once\n"


def test_what_outlives_its_step_prints_where_the_process_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with routed_streams():
        with log(tmp_path, "one") as streams, writing_to(streams):
            thread = background(print, "late", name="test")
        thread.start()
        thread.join()
    assert capsys.readouterr().out == "late\n"


def test_the_streams_of_the_process_come_back() -> None:
    before = sys.stdout, sys.stderr
    with contextlib.suppress(ValueError), routed_streams():
        assert sys.stdout is not before[0]
        raise ValueError
    assert (sys.stdout, sys.stderr) == before


class Bucket(CloudStorageComputeLogManager[Any]):
    """Uploads to a dictionary, as Dagster's managers for S3, Google and Azure do to their storages."""

    def __init__(self, folder: Path) -> None:
        self._local = LocalComputeLogManager(str(folder))
        self.uploaded: list[tuple[ComputeIOType, str, bool]] = []

    @property
    def local_manager(self) -> LocalComputeLogManager:
        return self._local

    @property
    def upload_interval(self) -> int | None:
        return None

    def upload_to_cloud_storage(self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False) -> None:  # noqa: FBT001, FBT002 - Dagster's
        path = Path(self._local.get_captured_local_path(log_key, IO_TYPE_EXTENSION[io_type]))
        self.uploaded.append((io_type, path.read_text(encoding="utf-8") if path.exists() else "", partial))

    def delete_logs(self, *_args: Any, **_kwargs: Any) -> None: ...
    def download_url_for_type(self, *_args: Any) -> str:
        return ""

    def display_path_for_type(self, *_args: Any) -> str:
        return ""

    def cloud_storage_has_logs(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    def download_from_cloud_storage(self, *_args: Any, **_kwargs: Any) -> None: ...
    def subscribe(self, *_args: Any) -> Any: ...
    def unsubscribe(self, *_args: Any) -> None: ...


def test_logs_in_a_cloud_are_uploaded_once_and_whole(tmp_path: Path) -> None:
    """Dagster's own streams upload both logs when the first of them ends, and then two empty ones over them."""
    bucket = Bucket(tmp_path)
    with runs._streams(bucket, ["run", "compute_logs", "key"]) as streams:  # noqa: SLF001 - what is tested
        streams["stdout"].write("out")
        streams["stderr"].write("err")
    assert bucket.uploaded == [(ComputeIOType.STDOUT, "out", False), (ComputeIOType.STDERR, "err", False)]


def test_without_compute_logs_a_step_has_no_streams() -> None:
    with runs._streams(NoOpComputeLogManager(), ["key"]) as streams:  # noqa: SLF001 - what is tested
        assert streams == {}


def test_a_stream_that_is_no_file_is_taken_as_it_is() -> None:
    stream = io.StringIO()
    with routed_streams(), writing_to({"stdout": stream}):
        print("here")  # noqa: T201 - as above
        assert stream.getvalue() == "here\n"
