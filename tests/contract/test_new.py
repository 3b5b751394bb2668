"""What `drayage new` writes builds, passes its own tests, and materializes as it is."""

import contextlib
from pathlib import Path

import dagster as dg
import docker.errors
import pytest
import yaml
from contract_steps import Deployment, outcome_of

from drayage import ContainerWorkload
from drayage.image_build import build_image
from drayage.scaffold import LANGUAGES, write_workload

pytestmark = pytest.mark.engine


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
    (tmp_path / "pipeline" / "defs").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "pipeline"\n', encoding="utf-8")
    name = deployment.name.replace("-", "_")
    written = write_workload(name, language=language, workloads=tmp_path / "workloads", project=tmp_path)
    attributes = yaml.safe_load(written.entry.read_text(encoding="utf-8"))["attributes"]
    attributes["build"] = str((written.entry.parent / attributes["build"]).resolve())
    try:
        build_image(written.folder, f"{attributes['image']}:test", target="test", show=print)
        defs = ContainerWorkload.from_attributes_dict(attributes=attributes).build_defs(
            dg.ComponentTree.for_test().load_context
        )
        result = dg.materialize(list(defs.assets or ()), instance=instance, raise_on_error=False)  # type: ignore[arg-type]
        outcome = outcome_of(instance, result.run_id)
        assert outcome.success, outcome.failure
        assert outcome.materializations[0]["rows"] == 3
    finally:
        # By name: somebody's own untouched workload is the very same image.
        for tag in ("test", "latest"):
            with contextlib.suppress(docker.errors.ImageNotFound):
                deployment.engine.images.remove(f"{attributes['image']}:{tag}", force=True)
