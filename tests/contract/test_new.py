"""What `drayage new` writes builds, passes its own tests, loads with its project, and materializes unchanged."""

import contextlib
import subprocess
import sys
from pathlib import Path

import dagster as dg
import docker.errors
import pytest
from contract_steps import Deployment, empty_project, outcome_of

from drayage.docker.build import build_image
from drayage.scaffold import LANGUAGES

pytestmark = pytest.mark.engine

DRAYAGE = Path(sys.executable).with_name("drayage")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_workload_is_green_from_the_start(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
) -> None:
    monkeypatch.setenv("DRAYAGE_DEPLOYMENT", deployment.name)
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(deployment.exchange_root))
    monkeypatch.setenv("DRAYAGE_NETWORK", "none")
    name = deployment.name.replace("-", "_")
    project = empty_project(tmp_path, f"pipeline_{name}")
    monkeypatch.syspath_prepend(tmp_path)
    typed = subprocess.run(  # noqa: S603 - ours
        [DRAYAGE, "new", name, "--language", language], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert typed.returncode == 0, typed.stderr
    folder = tmp_path / "workloads" / name
    assert f"docker build --target test {folder}" in typed.stdout
    image = f"drayage/{name}"
    try:
        build_image(folder, f"{image}:test", target="test", show=print)
        defs = dg.load_from_defs_folder(path_within_project=project)
        result = dg.materialize([defs.get_assets_def(name)], instance=instance, raise_on_error=False)
        outcome = outcome_of(instance, result.run_id)
        assert outcome.success, outcome.failure
        assert outcome.materializations[0]["rows"] == 3
    finally:
        # By name: someone's own untouched workload would be the same image.
        for tag in ("test", "latest"):
            with contextlib.suppress(docker.errors.ImageNotFound):
                deployment.engine.images.remove(f"{image}:{tag}", force=True)
