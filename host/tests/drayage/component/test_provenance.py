"""Tags that record which code made a run."""

from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest

from drayage.component.provenance import provenance_tags, tag_run_of


def test_only_what_is_known_becomes_a_tag() -> None:
    assert provenance_tags({}, None) == {}
    images = {"drayage/generator": "sha256:aaaa", "drayage/dbt-runner": "sha256:bbbb"}
    assert provenance_tags(images, None) == {"image/generator": "sha256:aaaa", "image/dbt-runner": "sha256:bbbb"}


def test_an_images_tag_leaves_out_its_registry_and_version() -> None:
    images = {"registry.example:5000/team/trips:1.2": "sha256:aaaa", "debian@sha256:ffff": "sha256:bbbb"}
    assert provenance_tags(images, "4711abc") == {
        "image/trips": "sha256:aaaa",
        "image/debian": "sha256:bbbb",
        "git_revision": "4711abc",
    }


@pytest.mark.parametrize(
    ("image", "tags"),
    [
        ("registry.example/team/trips:1.2", {}),
        (f"team/trips@sha256:{'a' * 64}", {"image/trips": "sha256:aaaaaaaaaaaa"}),
    ],
)
def test_a_name_is_never_taken_for_an_id(monkeypatch: pytest.MonkeyPatch, image: str, tags: dict[str, str]) -> None:
    """A cluster knows an image by its name until a node has it."""
    monkeypatch.setenv("DRAYAGE_ENGINE", "kubernetes")
    monkeypatch.delenv("GIT_REVISION", raising=False)
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(dg.job(name="traced")(lambda: None))
        context = SimpleNamespace(instance=instance, run=run)
        assert tag_run_of(cast("dg.AssetExecutionContext", context), image) is bool(tags)
        traced = instance.get_run_by_id(run.run_id)
    assert traced is not None
    assert {name: value for name, value in traced.tags.items() if name.startswith("image/")} == tags


def test_of_an_image_that_a_cluster_knows_by_name_the_digest_is_kept() -> None:
    name = f"registry.example/team/trips@sha256:{'a' * 64}"
    assert provenance_tags({name: name}, None) == {"image/trips": f"sha256:{'a' * 12}"}
