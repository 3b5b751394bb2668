"""Makes failures that explain themselves: the reasons, the commands to try next, the container and its last lines."""

import shlex
from collections.abc import Collection, Mapping, Sequence

import dagster as dg
from dagster_pipes import PipesException

from drayage.engine import ContainerState
from drayage.errors import DrayageError
from drayage.exchange.directory import Attempt
from drayage.identity import short_run_id
from drayage.verdict.exception import read_exception
from drayage.verdict.judge import Facts, Verdict

_STACK_FRAMES = 30


def debug_commands(command_line: str, attempt: Attempt, step: str) -> dict[str, str]:
    """Return the commands that run a step again or open a shell in it, ready to paste.

    Args:
        command_line: How people call ``drayage``.
        attempt: The attempt; an adopted one is found under the run that started it.
        step: The step's key.

    Returns:
        The commands, by their verbs: ``replay`` and ``shell``.
    """
    run_id = short_run_id(attempt.name.split("/", 1)[0])
    return {verb: f"{command_line} {verb} {run_id} {shlex.quote(step)}" for verb in ("replay", "shell")}


def step_failure(
    *,
    verdict: Verdict,
    facts: Facts,
    state: ContainerState,
    last_lines: Sequence[str],
    metadata: Mapping[str, dg.MetadataValue],
    commands: Collection[str],
    links: Mapping[str, str],
) -> dg.Failure:
    """Return the failure of a step whose verdict is red.

    Args:
        verdict: What was wrong.
        facts: The facts that the verdict is based on.
        state: The container at its end.
        last_lines: The last lines of the container's standard error.
        metadata: The numbers and paths that every materialization carries too.
        commands: Commands that people can run next.
        links: URLs that the workload reported, such as its Flink job's page, by what they show.
    """
    # The workload's own text may already end with a full stop.
    first, *others = [reason.text.rstrip(".") for reason in verdict.reasons]
    lines = [f"{state.image}: {first}."]
    lines += [f"Also: {text}." for text in others]
    lines += _what_to_do(commands)
    lines += [f"Its {name}: {url}" for name, url in links.items()]
    lines.append(f"Container {state.short_id} ({state.name}) of image {state.image_id[:19]}.")
    if last_lines:
        lines += ["Its last lines:", *(f"  {line}" for line in last_lines[-5:])]
    return dg.Failure(
        description="\n".join(lines),
        metadata={
            # First, because the UI truncates a long list until it is expanded.
            **{f"{name.replace(' ', '_')}_url": dg.MetadataValue.url(url) for name, url in links.items()},
            **metadata,
            **_failure_metadata(facts, state, last_lines),
        },
    )


def error_failure(
    text: str, error: DrayageError, metadata: Mapping[str, dg.MetadataValue], *, commands: Collection[str] = ()
) -> dg.Failure:
    """Return the failure of a step that could not be started or followed.

    Args:
        text: The error's text, with secrets removed.
        error: The error; its text says what to do.
        metadata: What is known about the step.
        commands: Commands that people can run next; empty if there was no container.
    """
    description = "\n".join([text, *_what_to_do(commands)])
    return dg.Failure(description=description, metadata={**metadata, "error_type": type(error).__name__})


def _what_to_do(commands: Collection[str]) -> list[str]:
    if not commands:
        return []
    return ["To run it again with the same context, or to look into it:", *(f"  {command}" for command in commands)]


def _failure_metadata(facts: Facts, state: ContainerState, last_lines: Sequence[str]) -> dict[str, dg.MetadataValue]:
    ending = facts.ending
    metadata: dict[str, dg.MetadataValue] = {
        "image": dg.MetadataValue.text(state.image),
        "container_name": dg.MetadataValue.text(state.name),
        "exit_code": dg.MetadataValue.int(ending.exit_code),
        "signal": dg.MetadataValue.text(ending.signal_name) if ending.signal_name else dg.MetadataValue.null(),
        "oom_killed": dg.MetadataValue.bool(ending.oom_killed),
        "memory_limit_mib": dg.MetadataValue.float(ending.memory_limit_bytes / 2**20)
        if ending.memory_limit_bytes
        else dg.MetadataValue.null(),
        "last_lines": dg.MetadataValue.md("```text\n" + "\n".join(last_lines).replace("```", "'''") + "\n```"),
    }
    if facts.exception is not None:
        stack = "".join(_stack(facts.exception)).replace("```", "'''")
        metadata["pipes_exception"] = dg.MetadataValue.md(f"```text\n{stack}\n```")
    return metadata


def _stack(exception: PipesException) -> list[str]:
    """Return the exception's lines in the order in which Python prints them: causes first."""
    lines: list[str] = []
    whole = read_exception(exception)
    cause = whole["cause"] or whole["context"]
    if cause:
        lines += [*_stack(cause), "\nwhich led to:\n\n"]
    lines += whole["stack"][-_STACK_FRAMES:]
    lines.append(whole["message"] or whole["name"] or "")
    return lines
