"""Names and labels of pods stand for ours, whatever characters those have."""

import re

import pytest

from drayage.kubernetes.names import carries, pod_labels, pod_name, read_labels, selector

ATTEMPT = {"drayage/deployment": "demo", "drayage/exchange": "run/step/0"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
KEY = re.compile(r"drayage\.dev/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
ODD = ["marts[2]", "x" * 300, "Ä/ö", "-", "", "a b", "ok-1"]


@pytest.mark.parametrize("name", [*ODD, None])
def test_every_name_is_one_of_the_cluster(name: str | None) -> None:
    for labels in (ATTEMPT, {}):
        assert NAME.fullmatch(pod_name(labels, name))


def test_an_attempt_always_has_the_same_pod() -> None:
    """So that no second one can be made of it."""
    assert pod_name(ATTEMPT, "a") == pod_name(ATTEMPT, "a")
    assert pod_name(ATTEMPT, "a") != pod_name({**ATTEMPT, "drayage/exchange": "run/step/0.2"}, "a")
    assert pod_name(ATTEMPT, "a") != pod_name({**ATTEMPT, "drayage/deployment": "other"}, "a")
    assert pod_name({}, None) != pod_name({}, None)
    assert pod_name({}, "plain-1") == "plain-1"
    assert pod_name({}, "Odd") != pod_name({}, "odd")


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", ["drayage/run_id", "kind", "team.example/cost centre", "/", "ä"])
def test_every_label_is_one_of_the_cluster(name: str, value: str) -> None:
    ((key, written),) = pod_labels({name: value}).items()
    assert KEY.fullmatch(key)
    assert VALUE.fullmatch(written)


def test_labels_that_differ_are_written_differently() -> None:
    assert len({pod_labels({"a": value})[next(iter(pod_labels({"a": ""})))] for value in ODD}) == len(ODD)
    assert pod_labels({"a/b": "1"}).keys() != pod_labels({"a-b": "1"}).keys()


def test_a_selector_asks_for_what_is_written() -> None:
    written = pod_labels({"drayage/step": "marts[2]", "kind": "a"})
    terms = dict(term.split("=") for term in selector({"drayage/step": "marts[2]", "kind": "a"}).split(","))
    assert terms == written
    assert selector({"drayage/run_id": ""}) == "drayage.dev/run_id"


def test_labels_are_compared_as_they_were_given() -> None:
    pod = {"metadata": {"annotations": {"drayage.dev/labels": '{"kind": "a"}'}}}
    assert carries(pod, {"kind": "a"})
    assert carries(pod, {"kind": ""})
    assert not carries(pod, {"kind": "b"})
    assert not carries(pod, {"other": ""})
    for annotations in (None, {"drayage.dev/labels": "no json"}, {"drayage.dev/labels": "[]"}):
        assert read_labels({"metadata": {"annotations": annotations}}) == {}
