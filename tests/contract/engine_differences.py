"""What cannot hold on an engine, each with its reason, as in ``docs/engines.md`` and ``docs/kubernetes.md``.

The tests are expected to fail there, and the suite fails when one of them passes. A fault test runs on each engine, or
is one of ``LOCAL``.
"""

from collections.abc import Mapping

import pytest

_NO_STREAMS = "a node keeps standard output and standard error as one, and ends a last line that has no end"
_LATE = "a cluster says only after the start that a container cannot be started: it is the step's failure then"
_NO_INIT = "no init of the engine stands before the workload: it is process 1, or `shareProcessNamespace` is set"
_NO_NETWORKS = "a pod has the cluster's network; networks are refused by name, and a NetworkPolicy takes their place"
_NO_PATHS = "a node has no path of the host's machine; such mounts are refused by name"
_NO_KWARGS = "container_kwargs are Docker's; they are refused by name"
_NOTHING_ASKED = "it asks nothing of the cluster, so that it cannot find out that it does not answer"
_NODES_PULL = "images are pulled by nodes, as a pod needs them, with the credentials of the namespace"
_NO_BUILD = "an image is built for this machine's engine; nodes pull images from a registry"
_STOCK = "the stock client is Docker's"

REMOTE = {
    "test_a_hole_within_the_limit_is_a_message_that_is_too_long": (
        "it is red as truncated or replaced: the relay does not send a hole"
    ),
}
"""By the names of tests, with their own parameters alone if only some cases are meant."""

KUBERNETES = {
    "test_a_missing_image_is_named": _LATE,
    "test_a_missing_network_is_an_error": _NO_NETWORKS,
    "test_a_container_that_cannot_join_its_second_network_is_not_left_behind": _NO_NETWORKS,
    "test_a_container_without_a_network_has_only_loopback": _NO_NETWORKS,
    "test_a_container_joins_all_its_networks": _NO_NETWORKS,
    "test_a_bind_mount_shows_the_hosts_files_and_is_writable_only_if_asked": _NO_PATHS,
    "test_the_engines_own_arguments_win": _NO_KWARGS,
    "test_each_restriction_holds_by_itself[{}]": _NO_INIT,
    "test_each_restriction_holds_by_itself[{'read_only_root': True}]": _NO_INIT,
    "test_each_restriction_holds_by_itself[{'no_new_privileges': True}]": _NO_INIT,
    "test_each_restriction_holds_by_itself[{'cap_drop': ('ALL',)}]": _NO_INIT,
    "test_under_an_init_a_missing_command_ends_with_127": _NO_INIT,
    "test_a_missing_command_is_an_entrypoint_error": _LATE,
    "test_a_container_that_cannot_be_started_leaves_nothing_but_itself": _LATE,
    "test_every_byte_arrives_on_the_stream_it_was_written_to": _NO_STREAMS,
    "test_much_output_right_before_the_end_is_complete": _NO_STREAMS,
    "test_the_output_of_an_ended_container_can_be_replayed_repeatedly": _NO_STREAMS,
    "test_a_replay_opened_just_before_the_end_is_complete": _NO_STREAMS,
    "test_a_log_that_is_bounded_says_what_it_may_have_dropped": "the node's kubelet decides how long a log may be",
    "test_an_image_on_the_engine_is_used_without_asking_its_registry": _NODES_PULL,
    "test_an_image_is_pulled_only_if_the_policy_allows_it": _NODES_PULL,
    "test_always_takes_what_the_registry_has_now": _NODES_PULL,
    "test_an_image_that_no_registry_has_is_reported_as_missing": _NODES_PULL,
    "test_a_private_image_is_pulled_only_after_a_login": _NODES_PULL,
    "test_an_engine_that_does_not_answer_is_unavailable[resolve]": _NOTHING_ASKED,
    "test_an_engine_that_does_not_answer_is_unavailable[login]": _NODES_PULL,
    "test_an_engine_that_does_not_answer_is_unavailable[create]": _NOTHING_ASKED,
    "test_an_engine_that_does_not_answer_is_unavailable[start]": "only what this process created can be started",
    "test_a_workload_can_neither_replace_nor_add_a_file": (
        "the folder of a pod's messages is one that its workload may write: what it does there is noticed, and red"
    ),
    "test_the_host_may_write_the_messages_itself": (
        "a program without messages may write into its own root; it is not read"
    ),
    "test_every_materialization_names_its_images_content": (
        "a step begins with the image's name, and only a node finds out what it stands for"
    ),
    "test_a_missing_image_says_what_to_do": _LATE,
    "test_an_image_that_cannot_be_pulled_says_what_to_do": _LATE,
    "test_a_bad_entrypoint_says_what_to_do_and_leaves_nothing": _LATE,
    "test_any_log_driver_and_any_bytes_in_the_output_are_fine": _NO_KWARGS,
    "test_only_a_crash_that_the_engine_answered_excuses_an_open_session": _NO_KWARGS,
    "test_an_error_that_led_to_a_failure_says_no_secret": _NO_KWARGS,
    "test_stdout_and_stderr_are_kept_apart_in_the_exchange_directory": _NO_STREAMS,
    "test_settings_reach_the_container": _NO_PATHS,
    "test_a_program_that_reported_twice_and_was_repaired_runs": _NO_PATHS,
    "test_a_step_that_failed_after_its_container_ended_starts_over": _NO_PATHS,
    "test_output_beyond_the_limit_is_noted_and_the_step_green": _NO_STREAMS,
    "test_a_failure_says_the_reason_then_commands_that_work": (
        "an ended pod's files are gone: its shell opens a new pod, without what the step left behind"
    ),
    "test_its_run_records_which_image_and_revision_made_it": _NODES_PULL,
}
"""The same; ``tests/kubernetes`` has what holds in their place."""

NOT_RUN_ON_KUBERNETES = {
    # These would wait for what never comes.
    "test_the_secrets_are_there_from_the_start_to_the_end": _NO_STREAMS,
    "test_output_arrives_as_it_is_written_not_line_by_line": "a node keeps whole lines",
    # These two would take the whole grace.
    "test_a_signal_that_the_program_does_not_handle_ends_it_with_128_plus_its_number[SIGTERM-15]": _NO_INIT,
    "test_a_cancel_just_after_a_lock_was_taken_leaves_nothing_waiting_for_it": (
        "a pod begins to run some time after it was made, and a program without an init that is not yet ready for a "
        "signal never gets it"
    ),
    **dict.fromkeys(
        (
            "test_a_build_folder_is_built_whenever_it_has_changed",
            "test_a_scaffolded_entry_of_a_build_folder_is_built_and_run",
            "test_a_build_that_fails_says_why_and_starts_nothing",
            "test_without_dockers_command_line_a_build_says_so",
            "test_a_deployed_host_uses_the_image_that_was_built_elsewhere",
            "test_an_image_that_should_have_been_built_is_never_pulled",
        ),
        _NO_BUILD,
    ),
    "test_the_stock_client_is_green_where_nothing_was_reported": _STOCK,
    "test_the_stock_client_loses_a_long_message_and_stays_green": _STOCK,
}
"""Those of them that are not even tried, most of them because they would run on another engine."""

_EXPECTED: Mapping[str, Mapping[str, str]] = {"remote-docker": REMOTE, "kubernetes": KUBERNETES}
_NOT_RUN: Mapping[str, Mapping[str, str]] = {"kubernetes": NOT_RUN_ON_KUBERNETES}

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
    """Mark the tests of an engine elsewhere, and those tests of each engine that are expected to fail."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        kind = parameters.get("engine_kind")
        if kind == "remote-docker" or "elsewhere" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.elsewhere)
        _require_listed(item, runs_on_each="engine_kind" in parameters)
        if reason := _reason(item, _EXPECTED.get(kind, {})):
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
        if reason := _reason(item, _NOT_RUN.get(kind, {})):
            item.add_marker(pytest.mark.skip(reason=reason))


def _reason(item: pytest.Item, known: Mapping[str, str]) -> str | None:
    """Return why a test cannot hold on an engine; None if it must."""
    name, _, case = item.name.removesuffix("]").partition("[")
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    kind = parameters.get("engine_kind")
    values = (str(getattr(value, "name", value)) for value in parameters.values())
    cases = {f"-{case}-".replace(f"-{kind}-", "-").strip("-"), *values}
    return next((known[key] for key in (name, *(f"{name}[{each}]" for each in cases)) if key in known), None)


def _require_listed(item: pytest.Item, *, runs_on_each: bool) -> None:
    name = getattr(item, "originalname", item.name)
    if item.path.parent.name == "faults" and not runs_on_each and name not in LOCAL:
        raise pytest.UsageError(
            f"{item.nodeid} runs on the local engine alone: mark it `on_each_engine`, or say in {__name__}.LOCAL why "
            "it cannot run on another."
        )
