"""The image of the contract tests that run Python; as a program, builds it for engines other than this machine's."""

import io
import json
import tarfile
from importlib import util
from pathlib import Path
from typing import Any

import docker
from contract_steps import PYTHON_IMAGE


def build_python_image(engine: docker.DockerClient) -> None:
    """Build an image with Python and dagster-pipes on the workloads' base."""
    spec = util.find_spec("dagster_pipes")
    assert spec is not None
    assert spec.origin is not None
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        dockerfile = (
            b"FROM drayage/python\nCOPY dagster_pipes /opt/contract/dagster_pipes\nENV PYTHONPATH=/opt/contract\n"
        )
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile))
        tar.add(Path(spec.origin).parent, "dagster_pipes", filter=lambda m: None if "__pycache__" in m.name else m)
    context.seek(0)
    log: list[dict[str, Any]] = list(
        engine.api.build(fileobj=context, custom_context=True, tag=PYTHON_IMAGE, rm=True, decode=True)
    )
    errors = [entry for entry in log if "error" in entry]
    assert not errors, json.dumps(errors)


if __name__ == "__main__":
    build_python_image(docker.from_env())
