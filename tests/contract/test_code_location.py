"""A code location made from an image, and what happens once the image's name refers to another image."""

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import docker
import pytest
from contract_steps import GREEN, Deployment, materialize, shell, step
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository, initialize_repository_def_from_pointer

from drayage import read_image_id

pytestmark = pytest.mark.engine

MODEL = {
    "resource_type": "model",
    "schema": "core",
    "description": "A model.",
    "tags": [],
    "config": {"materialized": "table"},
    "checksum": {"checksum": "sum"},
    "original_file_path": "models/model.sql",
    "depends_on": {"nodes": []},
}


def build(engine: docker.DockerClient, tag: str, *models: str) -> str:
    """Build an image whose dbt project has these models; return its id."""
    nodes = {f"model.taxi.{name}": {**MODEL, "name": name} for name in models}
    files = {
        "Dockerfile": b"FROM drayage/python\nCOPY manifest.json /app/target/manifest.json\n",
        "manifest.json": json.dumps({"nodes": nodes, "sources": {}}).encode(),
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    context.seek(0)
    log: list[dict[str, Any]] = list(
        engine.api.build(fileobj=context, custom_context=True, tag=tag, rm=True, decode=True)
    )
    errors = [entry for entry in log if "error" in entry]
    assert not errors, json.dumps(errors)
    return read_image_id(tag)


@pytest.fixture
def image(docker_engine: docker.DockerClient) -> Iterator[str]:
    """Return a name for the test's own images, all of which are removed at the end."""
    name = f"drayage/contract-dbt-{uuid.uuid4().hex[:8]}"
    ids: set[str] = set()
    try:
        ids.add(build(docker_engine, name, "first"))
        yield name
    finally:
        ids.add(read_image_id(name))
        for image_id in ids:
            docker_engine.images.remove(image_id, force=True)


def models(repository: dg.RepositoryDefinition) -> set[str]:
    return {key.path[1] for key in repository.asset_graph.materializable_asset_keys if key.path[0] == "core"}


def test_a_run_worker_has_its_code_servers_definitions_whatever_was_built_since(
    image: str, docker_engine: docker.DockerClient, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a run would execute a different plan from the one that was shown and launched."""
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(deployment.exchange_root))
    monkeypatch.setenv("TAXI_DBT_RUNNER_IMAGE", image)
    monkeypatch.setenv("TAXI_GENERATOR_IMAGE", "drayage/python")
    monkeypatch.setenv("TAXI_FLINK_SUBMIT_IMAGE", "drayage/python")
    pointer = ModuleCodePointer("nyc_taxi.definitions", "defs", working_directory=None)
    server = initialize_repository_def_from_pointer(pointer)
    assert models(server) == {"first"}
    build(docker_engine, image, "first", "second")
    worker = ReconstructableRepository(pointer).with_repository_load_data(server.repository_load_data)
    assert models(worker.get_definition()) == {"first"}
    assert models(initialize_repository_def_from_pointer(pointer)) == {"first", "second"}


def test_a_step_whose_image_has_changed_is_refused_before_anything_starts(
    image: str, docker_engine: docker.DockerClient, instance: dg.DagsterInstance, deployment: Deployment
) -> None:
    """The manifest may name nodes that the image does not have, and lack others."""
    loaded = read_image_id(image)
    client = deployment.client()
    green = materialize(instance, client, step(shell(GREEN), image=image, image_id=loaded))
    assert green.success
    starts = deployment.starts()
    rebuilt = build(docker_engine, image, "first", "second")
    red = materialize(instance, client, step(shell(GREEN), image=image, image_id=loaded))
    assert not red.success
    reason, _metadata = red.failure
    assert f"Image {image} is now {rebuilt}, and was {loaded} when" in reason
    assert "Reload the code location" in reason
    assert deployment.starts() == starts
