"""What `make land` and `make run` make of DATA, before any service is needed; and the settings of an older stack."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ODD = "a b #c $HOME $(pwd):d 'e\" \\ %41 é\nf"


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own Makefile
        ["make", *arguments],  # noqa: S607
        cwd=REPOSITORY,
        env={**{name: value for name, value in os.environ.items() if name != "DATA"}, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("goal", ["land", "run", "generate"])
def test_a_folder_of_any_name_arrives_as_it_was_typed(tmp_path: Path, goal: str) -> None:
    """Make itself would take the "$" for a variable, and a shell the rest."""
    folder = tmp_path / ODD
    folder.mkdir()
    shown = str(folder).replace("\n", "\\n")
    typed, inherited = make("-o", "up", goal, f"DATA={folder}"), make("-o", "up", goal, DATA=str(folder))
    for done in (typed, inherited):
        assert done.returncode != 0
        assert f"The folder {shown} holds no file of a month" in done.stderr
        # The run does not begin.
        assert "No Dagster webserver" not in done.stderr


def test_a_relative_folder_is_meant_from_the_repository() -> None:
    done = make("-o", "up", "land", "DATA=docs/images")
    assert f"The folder {REPOSITORY}/docs/images holds no file of a month" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("land",), "Name the folder that holds the yellow_tripdata_ files: make land DATA=folder"),
        (("land", "DATA=/no where"), "DATA=/no where is not a folder"),
        (("run", "DATA=/no where"), "DATA=/no where is not a folder"),
        (("generate", "DATA=README.md"), "DATA=README.md is not a folder"),
    ],
)
def test_a_folder_that_is_missing_is_said_before_anything_starts(arguments: tuple[str, ...], says: str) -> None:
    done = make(*arguments)
    assert done.returncode != 0
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        ((), "file_or_synthetic"),
        (("DATA=tests/data",), "file"),
        (("DATA=tests/data", "SOURCE=synthetic"), "synthetic"),
    ],
)
def test_with_data_the_months_file_is_wanted(arguments: tuple[str, ...], source: str) -> None:
    planned = make("--dry-run", "-o", "up", "run", *arguments)
    assert planned.returncode == 0, planned.stderr
    assert f" --source {source} " in planned.stdout


def test_the_settings_of_an_older_stack_get_what_they_lack_and_keep_the_rest(tmp_path: Path) -> None:
    """Its volumes have the passwords that stand there."""
    file = tmp_path / ".env"
    older = (
        "# Kept.\nCOMPOSE_PROJECT_NAME=mine\nS3_SECRET_ACCESS_KEY=kept\nTAXI_DATA_DIR=/some where\nMINIO_PORT=9000\n"
    )
    file.write_text(older)
    contents = []
    for _ in range(2):
        subprocess.run(["bootstrap/environment.sh", str(file)], cwd=REPOSITORY, check=True)  # noqa: S603, S607
        contents.append(file.read_text())
    assert contents[0] == contents[1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = contents[0].splitlines()
    assert lines[:4] == ["# Kept.", "COMPOSE_PROJECT_NAME=mine", "S3_SECRET_ACCESS_KEY=kept", "MINIO_PORT=9000"]
    assert lines[4] == "LANDING_ACCESS_KEY_ID=landing-reader"
    assert re.fullmatch("LANDING_SECRET_ACCESS_KEY=[0-9a-f]{40}", lines[5])
    assert [line.partition("=")[0] for line in lines[6:]] == ["GIT_REVISION"]


def test_an_older_stack_with_a_folder_of_files_stops_once_and_says_to_land_them(tmp_path: Path) -> None:
    """Its next run would find no file, and put synthetic trips in the place of the files'."""
    folder, file = tmp_path / "of [all] $months", tmp_path / ".env"
    folder.mkdir()
    (folder / "yellow_tripdata_2019-01.parquet").touch()
    file.write_text(f"TAXI_DATA_DIR={folder}\n")
    command = ["bootstrap/environment.sh", str(file)]
    first, second = (
        subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)  # noqa: S603
        for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (1, 0)
    assert f"Land them before any run: make land DATA={tmp_path}/of\\ \\[all\\]\\ \\$months\n" in first.stderr


def test_a_new_stack_has_every_setting_of_the_example(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    subprocess.run(["bootstrap/environment.sh", str(file)], cwd=REPOSITORY, check=True)  # noqa: S603, S607
    names = [re.findall(r"(?m)^(\w+)=", path.read_text()) for path in (file, REPOSITORY / ".env.example")]
    assert sorted(names[0]) == sorted(names[1])
