"""Secrets are read from declared sources."""

from pathlib import Path

import pytest

from drayage import EnvSecret, FileSecret, SettingsError
from drayage.secrets import read_secrets


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
