"""Secrets are read from declared sources, and redacted in every text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drayage import EnvSecret, FileSecret, SettingsError
from drayage.secrets import Redactor, read_secrets


def test_secrets_come_from_environment_and_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "one")
    (tmp_path / "key").write_bytes(b"two\n")
    declared = {"a": EnvSecret("SOME_PASSWORD"), "b": FileSecret(str(tmp_path / "key"))}
    assert read_secrets(declared, ["a", "b"]) == {"a": b"one", "b": b"two\n"}


def test_all_missing_secrets_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(SettingsError) as caught:
        read_secrets({"a": EnvSecret("NO_SUCH"), "b": FileSecret("/no/such")}, ["a", "b", "c"])
    assert all(
        text in str(caught.value) for text in ("NO_SUCH is not set", "/no/such cannot be read", "c: not declared")
    )


@given(secret=st.text(min_size=4, max_size=20), before=st.text(max_size=10), after=st.text(max_size=10))
def test_no_form_of_a_secret_is_left_in_a_line(secret: str, before: str, after: str) -> None:
    redact = Redactor([secret.encode("utf-8", "replace")])
    plain = secret.encode("utf-8", "replace").decode()
    for line in (before + plain + after, json.dumps({"text": before + plain + after})):
        clean = redact.text(line)
        assert plain not in clean.replace("[secret]", "")
