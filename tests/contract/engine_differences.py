"""What cannot hold on an engine that shares no files with the host, each with its reason, as in ``docs/engines.md``.

The tests of ``REMOTE`` are expected to fail there, and the suite fails when one of them passes. A fault test runs on
each engine, or is one of ``LOCAL``.
"""

import pytest

REMOTE = {
    "test_a_hole_within_the_limit_is_a_message_that_is_too_long": (
        "it is red as truncated or replaced: the relay does not send a hole"
    ),
}
"""By the names of tests, with their own parameters alone."""

ALSO = {
    "hole": r"truncated or replaced /drayage/io/messages\.jsonl",
}
"""Another reason for which an attack may be red there: the relay finds a hole, and the limit what passes it."""

_SIGNALS = "its host signals its workloads through a directory of its own, which such an engine cannot mount"
_PROXY = (
    "a proxy in front of this machine's own socket refuses the requests; that an engine does so is the same on each"
)
_STACK = "the stack's steps run on the engine that runs the stack"

LOCAL = {
    "test_standby_interrupted": _SIGNALS,
    "test_a_full_disk_is_named_with_what_to_do_and_leaves_nothing": _PROXY,
    "test_a_start_that_is_refused_leaves_no_container_and_no_secret": _PROXY,
    "test_a_removal_that_fails_changes_no_outcome_and_is_left_to_the_sweeper": _PROXY,
    "test_an_engine_that_restarts_does_not_disturb_a_step": (
        "an engine of its own is restarted; the mailbox apart has its own tests of a relay that is killed, and of cuts"
    ),
    "test_messages_that_find_no_room_are_red_and_what_came_before_is_kept": (
        "the workload writes to the engine's disk, which has room; the next test is about the host's"
    ),
    "test_a_message_that_is_cut_is_red_although_there_is_room_again_for_the_close": (
        "it fills the host's disk through a mount of a directory of the host"
    ),
    "test_the_retry_of_a_killed_run_worker_adopts_its_container": _STACK,
    "test_restarting_a_service_of_the_host_disturbs_no_step": _STACK,
}
"""Fault tests, and modules, that are not run there."""


def reason_on(engine_kind: str, attack: str, red: str | None) -> str | None:
    """Return the pattern of the reason for which an attack is red on an engine; None for green."""
    also = ALSO.get(attack) if engine_kind == "remote-docker" else None
    return red if red is None or also is None else f"{red}|{also}"


def expect_differences(items: list[pytest.Item]) -> None:
    """Mark the tests of such an engine, and those of them that are expected to fail."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        is_remote = parameters.get("engine_kind") == "remote-docker"
        if is_remote or "elsewhere" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.elsewhere)
        _require_listed(item, runs_on_each="engine_kind" in parameters)
        if not is_remote:
            continue
        own = {str(getattr(value, "name", value)) for value in parameters.values()}
        for known, reason in REMOTE.items():
            name, _, parameter = known.rstrip("]").partition("[")
            if item.name.startswith(f"{name}[") and (not parameter or parameter in own):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


def _require_listed(item: pytest.Item, *, runs_on_each: bool) -> None:
    name = getattr(item, "originalname", item.name)
    if item.path.parent.name == "faults" and not runs_on_each and name not in LOCAL:
        raise pytest.UsageError(
            f"{item.nodeid} runs on the local engine alone: mark it `on_each_engine`, or say in {__name__}.LOCAL why "
            "it cannot run on another."
        )
