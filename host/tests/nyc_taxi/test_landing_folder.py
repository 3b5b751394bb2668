import os
from pathlib import Path

import pytest

from nyc_taxi.landing.errors import FolderError
from nyc_taxi.landing.folder import read_folder

JANUARY = "yellow_tripdata_2019-01.parquet"


def test_months_come_in_order_and_of_each_the_preferred_format(tmp_path: Path) -> None:
    """One file of a month lands: what is read is said, and the sensor asks for one run."""
    for name in ("2019-02.csv", "2019-01.csv.gz", "2019-01.parquet", "2019-01.csv"):
        (tmp_path / f"yellow_tripdata_{name}").write_bytes(b"trips")
    (tmp_path / "green_tripdata_2019-01.parquet").write_bytes(b"trips")
    found = read_folder(tmp_path)
    assert [file.name for file in found.files] == [JANUARY, "yellow_tripdata_2019-02.csv"]
    assert found.passed_over == {f"yellow_tripdata_2019-01.{ending}": JANUARY for ending in ("csv", "csv.gz")}
    assert {file.size for file in found.files} == {5}
    assert found.refused == {}


def test_no_other_format_stands_in_for_a_file_that_is_refused(tmp_path: Path) -> None:
    """It may have another content, and would be read in the refused one's place."""
    (tmp_path / JANUARY).symlink_to("nowhere")
    (tmp_path / "yellow_tripdata_2019-01.csv").write_bytes(b"trips")
    found = read_folder(tmp_path)
    assert (found.files, list(found.refused)) == ([], [JANUARY])
    assert found.passed_over == {"yellow_tripdata_2019-01.csv": JANUARY}


def test_links_to_files_and_to_the_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"trips")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / JANUARY).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to("folder")
    (file,) = read_folder(tmp_path / "link").files
    assert (file.path, file.size) == (tmp_path / "link" / JANUARY, 5)


def test_what_has_a_months_name_and_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe must not be waited for."""
    (tmp_path / JANUARY).mkdir()
    (tmp_path / "yellow_tripdata_2019-02.csv").symlink_to("nowhere")
    os.mkfifo(tmp_path / "yellow_tripdata_2019-03.csv")
    (tmp_path / "yellow_tripdata_2019-04.csv").symlink_to("yellow_tripdata_2019-04.csv")
    found = read_folder(tmp_path)
    assert found.files == []
    assert {name[-10:]: reason.partition(":")[0] for name, reason in found.refused.items()} == {
        "01.parquet": "it is a folder",
        "019-02.csv": "the link to nowhere cannot be followed",
        "019-03.csv": "it is no regular file",
        "019-04.csv": "the link to yellow_tripdata_2019-04.csv cannot be followed",
    }


def test_a_subfolder_is_named_if_it_has_months_that_the_folder_lacks(tmp_path: Path) -> None:
    (tmp_path / JANUARY).write_bytes(b"trips")
    for folder, name in (("2019", "2019-02.csv"), ("old", "2019-01.csv"), (".hidden", "2019-03.csv")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"yellow_tripdata_{name}").write_bytes(b"trips")
    found = read_folder(tmp_path)
    assert [file.name for file in found.files] == [JANUARY]
    assert list(found.refused) == ["2019/"]
    assert "a folder with yellow_tripdata_2019-02.csv" in found.refused["2019/"]


def test_a_folder_without_any_months_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"holds no file of a month: expected .*csv.gz, got nothing\."):
        read_folder(tmp_path)
    (tmp_path / "green_tripdata_2019-01.parquet").write_bytes(b"trips")
    with pytest.raises(FolderError, match=r"got green_tripdata_2019-01.parquet\."):
        read_folder(tmp_path)


def test_what_is_no_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / JANUARY).write_bytes(b"trips")
    with pytest.raises(FolderError, match=r"cannot be read \(Not a directory\)"):
        read_folder(tmp_path / JANUARY)
    with pytest.raises(FolderError, match=r"cannot be read \(No such file or directory\)"):
        read_folder(tmp_path / "nowhere")
