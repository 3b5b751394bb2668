"""Makes failures that explain themselves: the reasons, the commands to try next, the container and its last lines."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster_pipes import PipesException

from drayage.engine import ContainerState
from drayage.errors import DrayageError
from drayage.exchange.directory import Attempt
from drayage.identity import short_run_id
from drayage.verdict.exception import read_exception
from drayage.verdict.judge import Facts, Verdict

_LONGEST_REASON_CHARACTERS = 4000
_LONGEST_STACK_CHARACTERS = 20_000
_STACK_FRAMES = 30
_SHOWN_REASONS = 20
# Colours, movements and titles of a terminal. Source: ECMA-48, sections 5.3 to 5.6.
_TERMINAL_CODE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b\n]*\x1b\\|\x1b[ -/]*[0-~]"
)
# Also what changes the order in which text is read. Source: UAX #9, section 2.
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Kinds of reasons that the same image with the same context has again.
_CERTAIN = frozenset({"message", "promise"})


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
    whole: Path,
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
        whole: Where to write everything, if it is too long to be shown.
    """
    # The workload's own text may already end with a full stop.
    reasons = [plain(reason.text).rstrip(".") for reason in verdict.reasons]
    stack = [] if facts.exception is None else [plain(line) for line in _stack(facts.exception)]
    is_short = len(reasons) <= _SHOWN_REASONS and all(text == shortened(text) for text in reasons)
    if not is_short or _shown_stack(stack) != "".join(stack):
        more = [_write_whole(whole, "\n".join([*reasons, "", *stack]))]
    else:
        more = []
    first, *others = [shortened(text) for text in reasons[:_SHOWN_REASONS]]
    lines = [f"{state.image}: {first}."]
    lines += [f"Also: {text}." for text in others]
    lines += [*more, *_what_to_do(commands)]
    shown_links = {plain(name): shortened(plain(url)) for name, url in links.items()}
    lines += [f"Its {name}: {url}" for name, url in shown_links.items()]
    name = "" if state.name == state.short_id else f" ({state.name})"
    lines.append(f"Container {state.short_id}{name} of image {_short_image(state.image_id)}.")
    shown_lines = [plain(line) for line in last_lines]
    if shown_lines:
        lines += ["Its last lines:", *(f"  {line}" for line in shown_lines[-5:])]
    return dg.Failure(
        description="\n".join(lines),
        metadata={
            # First, because the UI truncates a long list until it is expanded.
            **{f"{name.replace(' ', '_')}_url": dg.MetadataValue.url(url) for name, url in shown_links.items()},
            **metadata,
            **_failure_metadata(facts, state, shown_lines, _shown_stack(stack)),
        },
        # Something else may also have been wrong because the container was killed, or its network was down.
        allow_retries=not {reason.kind for reason in verdict.reasons} <= _CERTAIN,
    )


def plain(text: str) -> str:
    """Return text without a terminal's codes, and without what a database or a page cannot hold."""
    visible = _CONTROL_CHARACTER.sub("", _TERMINAL_CODE.sub("", text.replace("\r\n", "\n")))
    return visible.encode("utf-8", "backslashreplace").decode()


def shortened(text: str) -> str:
    """Return the beginning and the end of a text that is too long to be shown, and a short text as it is."""
    return _cut(text, _LONGEST_REASON_CHARACTERS)


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
    return dg.Failure(
        description=description,
        metadata={**metadata, "error_type": type(error).__name__},
        allow_retries=error.retry_may_help,
    )


def _short_image(image_id: str) -> str:
    """Return the beginning of a digest; a name, which an engine may have instead, is shown as it is."""
    return image_id[:19] if image_id.startswith("sha256:") else image_id


def _what_to_do(commands: Collection[str]) -> list[str]:
    if not commands:
        return []
    return ["To run it again with the same context, or to look into it:", *(f"  {command}" for command in commands)]


def _failure_metadata(
    facts: Facts, state: ContainerState, last_lines: Sequence[str], stack: str
) -> dict[str, dg.MetadataValue]:
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
        shown = stack.replace("```", "'''")
        metadata["pipes_exception"] = dg.MetadataValue.md(f"```text\n{shown}\n```")
    return metadata


def _stack(exception: PipesException) -> list[str]:
    """Return the exception's lines in the order in which Python prints them: causes first."""
    chain = [read_exception(exception)]
    while led := chain[-1]["cause"] or chain[-1]["context"]:
        chain.append(led)
    lines: list[str] = []
    for one in reversed(chain):
        if lines:
            lines.append("\nwhich led to:\n\n")
        lines += [*one["stack"], one["message"] or one["name"] or ""]
    return lines


def _shown_stack(stack: Sequence[str]) -> str:
    """Return the end of a long stack: its last frames, and as much of each as can be shown."""
    return _cut("".join(stack[-_STACK_FRAMES:]), _LONGEST_STACK_CHARACTERS)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … [{len(text) - 2 * half} characters left out] … {text[-half:]}"


def _write_whole(path: Path, text: str) -> str:
    """Write what cannot be shown to a file, and return a sentence that says where it is."""
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return f"This was cut, and the whole cannot be written to {path}: {error.strerror}."
    return f"This was cut; the whole is in {path}."
