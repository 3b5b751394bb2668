"""Tags that record which code made a run."""

from drayage.component.provenance import provenance_tags


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


def test_of_an_image_that_a_cluster_knows_by_name_the_digest_is_kept() -> None:
    name = f"registry.example/team/trips@sha256:{'a' * 64}"
    assert provenance_tags({name: name}, None) == {"image/trips": f"sha256:{'a' * 12}"}
