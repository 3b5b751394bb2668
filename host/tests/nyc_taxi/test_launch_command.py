import os
import subprocess
import sys

import pytest

NOBODY = "http://127.0.0.1:9"


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DAGSTER_URL": NOBODY}
    command = [sys.executable, "-m", "nyc_taxi.launch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--month", "2019-13"), "'2019-13' is not a month"),
        (("--month", "1999-01"), "The pipeline has no month 1999-01: choose one from 2011-01 to 20"),
        (("--month", "2019-01", "--events", "0"), "'--events': Input should be greater than or equal to 1"),
        (("--month", "2019-01", "--events", "many"), "'--events'"),
        ((), "'--month'"),
        (("--month", "2019-01"), f"No Dagster webserver answers at {NOBODY}"),
    ],
)
def test_what_cannot_be_launched_is_said_without_a_traceback(arguments: tuple[str, ...], said: str) -> None:
    done = launch(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
