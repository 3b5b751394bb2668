"""Checks the results of each scenario: each function yields one clause for everything that does not hold."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from drayage.conform.evidence import Evidence
from drayage.conform.values import PAYLOADS, TEXT, metadata
from drayage.pipes.schema import require

LARGE_CHARACTERS = 4_000_000
MANY_MESSAGES = 20_000
TOKEN = "conformance-token-0f2c"  # noqa: S105 - it protects nothing
_SIGTERM_EXIT_CODE = 143
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_SHOWN_CHARACTERS = 200


def knows_context(evidence: Evidence, told: Mapping[str, Any], partitions: Sequence[str | None]) -> Iterator[str]:
    """Expect that the program read its context: it sent all of it back, printed its text, and made every asset.

    Args:
        evidence: The evidence of the run.
        told: Members of the context, and the values that the host must have written for them.
        partitions: The partitions of each asset that must be materialized.
    """
    try:
        require("context", evidence.context, where="the context that the host wrote")
    except TypeError as error:
        yield str(error)
    for name, value in told.items():
        yield from differs(f"context.{name} that the host wrote", evidence.context.get(name, "nothing"), value)
    repeated: Mapping[str, Any] = next(
        (p["context"] for p in evidence.custom if isinstance(p, Mapping) and "context" in p), {}
    )
    for name, given in evidence.context.items():
        yield from differs(f"context.{name}", repeated.get(name, "nothing"), given)
    yield from differs("stdout", evidence.output("stdout"), f"{TEXT}\n")
    made = {(made.asset_key.to_escaped_user_string(), made.partition) for made in evidence.materializations}
    wanted = {(key, partition) for key in evidence.context.get("asset_keys") or () for partition in partitions}
    yield from differs("the materialized assets", made, wanted)


def has_metadata(evidence: Evidence) -> Iterator[str]:
    """Expect one materialization that carries a value of every type, and the data version."""
    made = _only_materialization(evidence)
    for name, value in metadata(str(evidence.context["run_id"])).items():
        yield from differs(f"metadata {name}", made.metadata.get(name, "nothing"), value)
    yield from differs("the data version", (made.tags or {}).get("dagster/data_version"), "v1")


def has_checks(evidence: Evidence) -> Iterator[str]:
    """Expect one check that passed and one that failed as a warning, each with a number."""
    found = {
        check.check_name: (check.passed, check.severity.value, check.metadata.get(name))
        for check in evidence.checks
        for name in [{"whole": "rows", "fresh": "age_s"}.get(check.check_name, "")]
    }
    yield from differs("check whole", found.get("whole"), (True, "ERROR", dg.MetadataValue.int(3)))
    yield from differs("check fresh", found.get("fresh"), (False, "WARN", dg.MetadataValue.float(1.5)))


def has_logs(evidence: Evidence) -> Iterator[str]:
    """Expect a log line of every level, and each output stream in its own file, if the engine keeps them apart."""
    logged = {(level, text) for level, text, _ in evidence.logs}
    for level in _LEVELS:
        if (logging.getLevelNamesMapping()[level], f"{level} {TEXT}") not in logged:
            yield f"the event log has no line of level {level} with the text {f'{level} {TEXT}'!r}"
    lines = [sorted(evidence.output(stream).splitlines(keepends=True)) for stream in ("stdout", "stderr")]
    apart, as_one = [["to stdout\n"], ["to stderr\n"]], [["to stderr\n", "to stdout\n"], []]
    yield from differs("stdout and stderr", lines, apart if evidence.has_streams else as_one)


def has_custom(evidence: Evidence) -> Iterator[str]:
    """Expect every kind of JSON to arrive unchanged, and progress to be recorded."""
    yield from differs("the custom messages", list(evidence.custom), PAYLOADS)
    observed = [observation.metadata.get("rows") for observation in evidence.observations]
    yield from differs("the observed progress", observed, [dg.MetadataValue.int(1)])


def has_partitions(evidence: Evidence) -> Iterator[str]:
    """Expect a number of its own for every partition of every asset, and progress of every asset to be recorded."""
    keys = [dg.AssetKey.from_escaped_user_string(key) for key in evidence.context["asset_keys"]]
    numbers = enumerate(evidence.context["extras"]["partitions"])
    wanted = {(key, partition): dg.MetadataValue.int(number) for number, partition in numbers for key in keys}
    made = {(made.asset_key, made.partition): made.metadata.get("number") for made in evidence.materializations}
    yield from differs("metadata number by asset and partition", made, wanted)
    observed = {seen.asset_key: seen.metadata.get("rows") for seen in evidence.observations}
    yield from differs("the observed progress by asset", observed, dict.fromkeys(keys, dg.MetadataValue.int(1)))


def has_streams(evidence: Evidence) -> Iterator[str]:
    """Expect the host to print what the program passed on from another process, and no output of the program's own."""
    for stream in ("stdout", "stderr"):
        if f"{stream} {TEXT}" not in evidence.printed.get(stream, ""):
            yield f"the host did not print {f'{stream} {TEXT}'!r} to {stream}"
        yield from differs(stream, evidence.output(stream), "")


def has_large(evidence: Evidence) -> Iterator[str]:
    """Expect that a large context was read, and that a large message arrived whole."""
    reported = _only_materialization(evidence).metadata
    large = reported.get("large")
    yield from differs("metadata padding", reported.get("padding"), dg.MetadataValue.int(1_000_000))
    if not isinstance(large, dg.TextMetadataValue) or large.value != "x" * LARGE_CHARACTERS:
        yield f"metadata large: expected {LARGE_CHARACTERS} times x, got {_shown(large)}"


def has_many(evidence: Evidence) -> Iterator[str]:
    """Expect every message to arrive, in order."""
    numbers = [payload.get("number") for payload in evidence.custom if isinstance(payload, Mapping)]
    if numbers != list(range(MANY_MESSAGES)):
        yield f"expected the numbers 0 to {MANY_MESSAGES - 1} in order, got {len(numbers)}: {_shown(numbers)}"
    if messages_per_second(evidence) is None:
        yield "the event log lacks the line `begin` before the messages, or the line `end` after them"


def messages_per_second(evidence: Evidence) -> float | None:
    """Return the rate at which the many messages were written and read; None if ``begin`` or ``end`` is not logged."""
    times = {text: time for _, text, time in evidence.logs if text in {"begin", "end"}}
    if len(times) < 2 or times["end"] <= times["begin"]:  # noqa: PLR2004 - begin and end
        return None
    return MANY_MESSAGES / (times["end"] - times["begin"])


def has_exception(evidence: Evidence) -> Iterator[str]:
    """Expect that Pipes was closed with an exception and its cause, and an exit code other than 0."""
    exception = evidence.exception or {}
    if not exception.get("name"):
        yield "the exception has no name"
    if "no trips" not in str(exception.get("message")):
        yield f"the exception's message: expected `no trips`, got {_shown(exception.get('message'))}"
    if "the file is empty" not in str((exception.get("cause") or {}).get("message")):
        yield f"the exception's cause: expected `the file is empty`, got {_shown(exception.get('cause'))}"
    if evidence.exit_code in {0, None}:
        yield f"the exit code is {evidence.exit_code}"


def ends_by_sigterm(evidence: Evidence) -> Iterator[str]:
    """Expect that SIGTERM ended the program in time, and that the exception names SIGTERM."""
    yield from differs("the exit code", evidence.exit_code, _SIGTERM_EXIT_CODE)
    exception = evidence.exception or {}
    if "SIGTERM" not in f"{exception.get('name')} {exception.get('message')}":
        yield f"the exception does not name SIGTERM: {_shown(exception or None)}"
    yield from differs("the custom messages", list(evidence.custom), ["ready"])


def keeps_secret(evidence: Evidence) -> Iterator[str]:
    """Expect that the secret was read, and that it is redacted in the output."""
    characters = _only_materialization(evidence).metadata.get("characters")
    yield from differs("metadata characters", characters, dg.MetadataValue.int(len(TOKEN)))
    yield from differs("stdout", evidence.output("stdout"), "[secret]\n")


def differs(what: str, got: Any, expected: Any) -> Iterator[str]:
    """Yield what was expected and what came, if they differ."""
    if not _same(got, expected):
        yield f"{what}: expected {_shown(expected)}, got {_shown(got)}"


def _same(got: Any, expected: Any) -> bool:
    """Compare as JSON does: 7 and 7.0 are equal, 1 and true are not."""
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(_same(got[name], value) for name, value in expected.items())
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(map(_same, got, expected))
    return bool(got == expected) and isinstance(got, bool) == isinstance(expected, bool)


def _only_materialization(evidence: Evidence) -> dg.AssetMaterialization:
    made = evidence.materializations
    return made[0] if len(made) == 1 else dg.AssetMaterialization("none")


def _shown(content: Any) -> str:
    text = repr(content)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
