"""The tags that say which code made a run."""

from drayage.component.provenance import provenance_tags


def test_what_nobody_knows_is_no_tag() -> None:
    assert provenance_tags({}, None) == {}
    images = {"drayage/generator": "sha256:aaaa", "drayage/dbt-runner": "sha256:bbbb"}
    assert provenance_tags(images, None) == {"image/generator": "sha256:aaaa", "image/dbt-runner": "sha256:bbbb"}


def test_an_image_is_called_without_its_registry_and_version() -> None:
    images = {"registry.example:5000/team/trips:1.2": "sha256:aaaa", "debian@sha256:ffff": "sha256:bbbb"}
    assert provenance_tags(images, "4711abc") == {
        "image/trips": "sha256:aaaa",
        "image/debian": "sha256:bbbb",
        "git_revision": "4711abc",
    }
