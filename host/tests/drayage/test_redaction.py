"""Secrets are taken out of every text and message, and nothing else is."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from drayage.exchange.directory import Exchange
from drayage.mailbox import FolderMailbox
from drayage.pipes.ledger import LEVELS, Ledger
from drayage.pipes.reader import MailboxReader
from drayage.pipes.schema import schema
from drayage.redaction import PROTOCOL_NAMES, PROTOCOL_VALUES, Redactor

PEM = (
    b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"
)
SECRET = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: len(text.strip().encode()) >= 4 and text.strip() not in "[secret]"
)
AROUND = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def encoded(draw: st.DrawFn, secret: str) -> str:
    """A JSON string's inside, with each character written in one of the ways that JSON allows."""
    units = []
    for character in secret:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        utf16 = character.encode("utf-16-be")
        numeric = "".join(f"\\u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2))
        ways = [plain, numeric, numeric.upper().replace("\\U", "\\u"), *(["\\/"] if character == "/" else [])]
        units.append(draw(st.sampled_from(ways)))
    return "".join(units)


@given(data=st.data(), secret=SECRET, before=AROUND, after=AROUND, depth=st.integers(0, 3))
@example(data=None, secret="p<ss&word", before="u:", after="@h", depth=0)  # noqa: S106 - it is the test's
@settings(deadline=None)
def test_no_json_encoding_of_a_secret_is_left_anywhere(
    data: Any, secret: str, before: str, after: str, depth: int
) -> None:
    """Neither in the message that goes to Dagster, nor in the file, nor in a log."""
    inside = "p\\u003css\\u0026word" if data is None else data.draw(encoded(secret))
    text = f'"{json.dumps(before)[1:-1]}{inside}{json.dumps(after)[1:-1]}"'
    for _ in range(depth):
        text = json.dumps(text, ensure_ascii=False)
    line = f'{{"method": "log", "params": {{"message": {text}, "level": "INFO"}}}}'
    # The protocol's own words stay, whatever the secret is.
    assume(not holds('{"method": "log", "params": {"message": "[secret]", "level": "INFO"}}', secret))
    redact = Redactor([secret.encode()])
    for written in (redact.line(line.encode()).decode(), redact.text(line), redact(line.encode()).decode()):
        assert not holds(written, secret)
    message = redact.message(json.loads(line))
    assert not holds(message["params"]["message"], secret)
    assert (message["method"], message["params"]["level"]) == ("log", "INFO")


def holds(text: str, secret: str) -> bool:
    """Read the text as often as it is JSON, and look for the secret each time."""
    text = text.replace("[secret]", "\0")
    while True:
        if secret.strip() in text:
            return True
        try:
            inside = json.loads(text)
        except ValueError:
            return False
        text = inside if isinstance(inside, str) else json.dumps(inside, ensure_ascii=False)
        if not isinstance(inside, str):
            return secret.strip() in str(inside).replace("[secret]", "\0")


@pytest.mark.parametrize("line", [*PEM.splitlines(), PEM.splitlines()[1] + b"\r"])
def test_each_line_of_a_secret_is_one(line: bytes) -> None:
    assert Redactor([PEM])(b"key: " + line).rstrip() == b"key: [secret]"


def test_a_secret_of_several_lines_is_found_in_one_line_of_json() -> None:
    assert Redactor([PEM]).text(json.dumps({"key": PEM.decode()})) == '{"key": "[secret]"}'


@pytest.mark.parametrize("secret", ["1000", "params", "report_asset_materialization", "metadata", "rows", "__infer__"])
def test_a_short_or_common_secret_breaks_no_message(secret: str) -> None:
    """The number stays, the protocol stays, and the names that the step declared stay; only the text is redacted."""
    line = (
        b'{"__dagster_pipes_version": "0.1", "method": "report_asset_materialization", "params": {"asset_key": '
        b'"rows/1000", "data_version": null, "metadata": {"rows": {"raw_value": 100023, "type": "__infer__"}, '
        b'"text": {"raw_value": "it is SECRET", "type": "text"}}}}\n'
    ).replace(b"SECRET", secret.encode())
    redact = Redactor([secret.encode()], names=["rows", "rows/1000"])
    expected = line.replace(b"it is " + secret.encode(), b"it is [secret]")
    assert redact.line(line) == expected
    assert redact.message(json.loads(line)) == json.loads(expected)


def test_a_name_that_nobody_declared_is_text() -> None:
    """A workload may have put the secret into a name; two such names stay two."""
    message = {"params": {"asset_key": "a-s3cr3t", "metadata": {"s3cr3t": 1, "S s3cr3t": 2, "s3cr3t ": 3}}}
    clean = Redactor([b"s3cr3t"]).message(message)
    assert clean["params"]["asset_key"] == "a-[secret]"
    assert sorted(clean["params"]["metadata"].values()) == [1, 2, 3]
    assert "s3cr3t" not in json.dumps(clean)


def test_what_holds_no_secret_is_left_byte_for_byte() -> None:
    redact = Redactor([b"s3cr3t"])
    for line in (b'{"a": 1.10, "b": 1E5, "c": "\\u003c\\/"}\n', b"\xff\xfe \\u00zz \\", b"[1, 2]", b"\xed\xa0\x80"):
        assert redact(line) is line
        assert redact.line(line) is line
    message = {"a": "\ud800", "b": [1.5, None, "\\"]}
    assert redact.message(message) is message


def test_the_rest_of_a_message_that_holds_one_is_left_byte_for_byte() -> None:
    line = b'{"a": 1.10,"b":1E5 , "c" : "\\u003c\\/", "d": "x s3cr3t", "n": 12345678901234567890123}\r\n'
    assert Redactor([b"s3cr3t"]).line(line) == line.replace(b"s3cr3t", b"[secret]")


def test_a_name_said_twice_hides_no_secret() -> None:
    """Parsed, the first one is gone; in the file it is not."""
    assert b"s3cr3t" not in Redactor([b"s3cr3t"]).line(b'{"a": "s3cr3t", "a": "x"}')


def test_secrets_that_overlap_are_removed_as_one() -> None:
    assert Redactor([b"abcdef", b"defghi"]).text("-abcdefghi-") == "-[secret]-"


def test_bytes_that_are_no_text_are_found_as_they_are_and_as_programs_read_them() -> None:
    redact = Redactor([b"p\xffss\xfeword"])
    assert redact(b"-p\xffss\xfeword-") == b"-[secret]-"
    assert redact.text("-p\ufffdss\ufffdword-") == "-[secret]-"
    assert redact.text("-pÿssþword-") == "-[secret]-"


@pytest.mark.parametrize(
    "text", ["\\" * 400_000, "\\u005c" + "u005c" * 80_000, "s3cr3t\\n" * 60_000, "[secret]" * 50_000]
)
def test_no_text_takes_long_to_redact(text: str) -> None:
    """The workload chooses the text: this takes a second, and would take hours if the time grew with the square."""
    assert "s3cr3t" not in Redactor([b"s3cr3t", b"\\\\<a", b"<\\<\\<"]).text(text)


def test_a_file_that_the_workload_wrote_is_scrubbed(tmp_path: Path) -> None:
    attempt = Exchange(tmp_path).create("run/step/0")
    attempt.messages.write_bytes(b'one\nhush-hush\n{"n": 1000, "m": "hush\\u002dhush"}\nhalf hush-hush')
    attempt.scrub_messages(Redactor([b"hush-hush", b"1000"]).lines)
    assert attempt.messages.read_bytes() == b'one\n[secret]\n{"n": 1000, "m": "[secret]"}\nhalf [secret]'
    assert [file.name for file in attempt.io.iterdir()] == ["messages.jsonl"]


def test_a_link_that_waits_for_the_scrubbed_copy_is_not_followed(tmp_path: Path) -> None:
    victim, attempt = tmp_path / "victim", Exchange(tmp_path).create("run/step/0")
    victim.write_bytes(b"mine")
    attempt.messages.write_bytes(b"hush-hush\n")
    attempt.io.joinpath(".messages.jsonl.clean").symlink_to(victim)
    attempt.scrub_messages(Redactor([b"hush-hush"]).lines)
    assert victim.read_bytes() == b"mine"


def test_a_line_too_long_to_hold_is_left_out(tmp_path: Path) -> None:
    attempt = Exchange(tmp_path).create("run/step/0")
    attempt.messages.write_bytes(b"x" * (16 * 2**20 - 4) + b"hush-hush" + b"y" * 2**20 + b"\n{}\n")
    attempt.scrub_messages(Redactor([b"hush-hush"]).lines)
    left = b"[a line of 17825798 bytes, in which a secret may be, was left out]\n{}\n"
    assert attempt.messages.read_bytes() == left


def test_a_problem_is_quoted_after_it_was_redacted() -> None:
    """Cut first, half of the secret would be quoted."""
    ledger = Ledger(redact=Redactor([b"hush-hush-0123456789"]))
    ledger.report_problem("not JSON", b"x" * 190 + b"hush-hush-0123456789" + b"y" * 100)
    assert "hush" not in ledger._problems.first[0]  # noqa: SLF001 - what the verdict is made of


@given(secret=SECRET, data=st.data())
@settings(deadline=None, max_examples=50)
def test_a_reader_of_anybody_delivers_no_secret(secret: str, data: st.DataObject) -> None:
    """Whichever reader brought the message, Dagster's handler gets it redacted."""
    handed: list[Any] = []

    class Handler:
        def handle_message(self, message: Any) -> None:
            handed.append(message)

    inside = data.draw(encoded(secret))
    ledger = Ledger(redact=Redactor([secret.encode()]))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "messages.jsonl"
        path.write_text(
            '{"__dagster_pipes_version": "0.1", "method": "log", "params": '
            f'{{"message": "{inside}", "level": "INFO"}}}}\n',
            encoding="utf-8",
        )
        mailbox = FolderMailbox(path.parent)
        with MailboxReader(mailbox, kept_in=path).read_messages(ledger.over(Handler())):  # type: ignore[arg-type]
            pass
        mailbox.collect()
    assert [secret.strip() in message["params"]["message"] for message in handed] == [False]


def test_the_protocols_words_are_those_of_the_schema() -> None:
    names, values = set(), dict[str, set[str]]()

    def read(part: Any) -> None:
        if isinstance(part, list):
            for item in part:
                read(item)
        elif isinstance(part, dict):
            for name, described in (
                part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ()
            ):
                names.add(name)
                if isinstance(described, dict):
                    values.setdefault(name, set()).update(
                        described.get("enum", ()), {described["const"]} if "const" in described else ()
                    )
            for item in part.values():
                read(item)

    definitions = schema()["definitions"]
    context = {"context", "keyRange", "timeWindow"}
    read([part for name, part in definitions.items() if name not in context])
    assert names <= PROTOCOL_NAMES
    # A log message may have any level; of these, Dagster has one of its own.
    levels = {level for name in LEVELS for level in (name, name.lower())}
    assert {name: said for name, said in values.items() if said} | {"level": levels} == PROTOCOL_VALUES
