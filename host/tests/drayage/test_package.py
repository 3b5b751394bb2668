"""The package's public names, and a command line that starts without Dagster."""

import subprocess
import sys

import drayage


def test_every_public_name_is_there() -> None:
    assert [getattr(drayage, name).__name__ for name in drayage.__all__] == drayage.__all__
    assert set(drayage.__all__) <= set(dir(drayage))


def test_the_command_line_starts_without_dagster() -> None:
    """Importing Dagster takes seconds, and most commands do not need it."""
    code = "import sys, drayage.cli; print('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"
