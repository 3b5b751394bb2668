"""What docker-py's keyword arguments mean."""

import pytest

from drayage.docker.options import explain


@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_an_option_without_a_value_reaches_nothing(value: object) -> None:
    assert explain({"devices": value}).reaching == {}
    assert explain({"devices": ["/dev/sda"]}).reaching == {"devices": ["/dev/sda"]}


def test_a_copy_has_neither_the_name_nor_the_labels_of_the_original() -> None:
    """The sweeper would take it for a container of the original's run."""
    facts = explain({"name": "one", "labels": {"drayage/run_id": "r"}, "hostname": "h", "network": "n"})
    assert facts.copied == {"hostname": "h", "network": "n"}
    assert facts.copied_without_networks == {"hostname": "h"}
