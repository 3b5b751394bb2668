"""The options of a replay: each is read, and what is malformed is named with an example of what is right."""

from typing import Any

import pytest

from drayage import EnvSecret, FileSecret, SettingsError
from drayage.cli.overrides import read_overrides
from drayage.replay.prepare import Overrides


def read(**options: Any) -> Overrides:
    names = ("extras", "mounts", "environment", "networks", "secrets", "allowed")
    return read_overrides(**{"image": None, **{key: [] for key in names}, **options})


def test_each_option_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "its=value")
    found = read(
        environment=["A=b=c", "HERE", "EMPTY="],
        secrets=["token=env:TOKEN", "key=file:/etc/a:b"],
        allowed=['cap_add=["SYS_PTRACE"]', "runtime=crun"],
        networks=["a", "b"],
    )
    assert found.environment == {"A": "b=c", "HERE": "its=value", "EMPTY": ""}
    assert found.secrets == {"token": EnvSecret("TOKEN"), "key": FileSecret("/etc/a:b")}
    assert found.allowed == {"cap_add": ["SYS_PTRACE"], "runtime": "crun"}
    assert found.networks == ("a", "b")


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("environment", "NOT_SET_HERE", "NOT_SET_HERE is not set here"),
        ("environment", "", "--env : expected name=value"),
        ("environment", "=x", "--env =x: expected name=value"),
        ("secrets", "token", "--secret token: expected name=env:VARIABLE"),
        ("secrets", "token=TOKEN", "expected name=env:VARIABLE"),
        ("secrets", "token=env:", "expected name=env:VARIABLE"),
        ("secrets", "../token=env:T", "expected name=env:VARIABLE"),
        ("secrets", "..=env:T", "expected name=env:VARIABLE"),
        ("secrets", "token=exec:id", "expected name=env:VARIABLE"),
        ("allowed", "privileged", "--allow privileged: expected name=value, such as --allow privileged=true"),
        ("mounts", "/nowhere:/x", "/nowhere does not exist"),
        ("mounts", "/etc", "expected source:/target"),
    ],
)
def test_what_is_malformed_is_named(option: str, word: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(**{option: [word]})
    assert said in str(refused.value)
