import os
import subprocess
import sys

import pytest

NO_WEBSERVER = "http://127.0.0.1:9"


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DAGSTER_URL": NO_WEBSERVER}
    command = [sys.executable, "-m", "nyc_taxi.launch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--month", "2019-13"), "'2019-13' is not a month"),
        (("--month", "1999-01"), "The pipeline has no month 1999-01: choose one from 2009-01 to 20"),
        (("--month", "2019-01", "--events", "0"), "'--events': Input should be greater than or equal to 1"),
        (("--month", "2019-01", "--events", "many"), "'--events'"),
        (("--month", "2019-01", "--source", "files"), "'files' is not one of 'file', 'synthetic', 'file_or_synthetic'"),
        ((), "'--month'"),
        (("--month", "2019-01"), f"No Dagster webserver answers at {NO_WEBSERVER}"),
    ],
)
def test_an_impossible_launch_is_explained_without_a_traceback(arguments: tuple[str, ...], expected: str) -> None:
    done = launch(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
