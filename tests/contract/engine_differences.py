"""What cannot hold on an engine that shares no files with the host, each with its reason, as in ``docs/engines.md``.

The tests are expected to fail there, and the suite fails when one of them passes. ``test_standby_interrupted.py`` is
not run there at all: its host signals its workloads through a directory of its own, which such an engine cannot mount.
"""

import pytest

REMOTE = {
    "test_an_attack_is_harmless_and_its_step_judged_rightly[hole]": (
        "a hole within messages_bytes is red as truncated or replaced, not as too long: the relay does not send it"
    ),
}
"""By the names of tests, with their own parameters alone."""


def expect_differences(items: list[pytest.Item]) -> None:
    """Mark the tests of such an engine, and those of them that are expected to fail."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        is_remote = parameters.get("engine_kind") == "remote-docker"
        if is_remote or "elsewhere" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.elsewhere)
        if not is_remote:
            continue
        own = {str(getattr(value, "name", value)) for value in parameters.values()}
        for known, reason in REMOTE.items():
            name, _, parameter = known.rstrip("]").partition("[")
            if item.name.startswith(f"{name}[") and (not parameter or parameter in own):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
