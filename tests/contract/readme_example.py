"""Runs the example of a README."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from contract_steps import Deployment


def run_example(
    page: Path, folder: Path, deployment: Deployment, *, python: Path, environment: Mapping[str, str]
) -> str:
    """Run the one Python example of a page.

    Args:
        page: The page.
        folder: An empty folder in which the example runs.
        deployment: The deployment that owns the example's container.
        python: The interpreter.
        environment: Environment variables, to which the deployment's are added.

    Returns:
        What the example printed.
    """
    (example,) = page.read_text(encoding="utf-8").split("```python\n")[1:]
    (folder / "trips.py").write_text(example.split("```")[0], encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - ours
        [str(python), "trips.py"],
        cwd=folder,
        env={
            **environment,
            "DRAYAGE_EXCHANGE_ROOT": str(deployment.exchange_root),
            "DRAYAGE_DEPLOYMENT": deployment.name,
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
