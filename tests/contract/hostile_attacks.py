"""What workloads try against their host, each with what is right: shared by the contract tests and the hostile soak."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET_NAME = "token"  # noqa: S105 - the name of one
TRUNCATED = r"truncated or replaced /drayage/io/messages\.jsonl"
TOO_LONG = r"longer than the 16777216 bytes allowed"
_HONEST = "opened; report '{}'; closed"
_AWAITED = "while [ -p /drayage/io/context.json ]; do sleep 0.1; done"

Script = Callable[[random.Random, str], str]


@dataclass(frozen=True)
class Attack:
    """What one workload does, as root in its container.

    Args:
        name: Its name.
        script: Writes its shell script, from random numbers and the path of a file of the host.
        red: Pattern of the reason for which the step is red; None if it must be green.
        settings: Arguments of the call.
        as_other: The same as ``red``, where the host is not root, if that makes a difference.
        ahead: Whether the step must take the container that stood by; None if none stands by.
    """

    name: str
    script: Script
    red: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    as_other: str | None = None
    ahead: bool | None = None

    def expected(self, *, as_root: bool) -> str | None:
        """Return the pattern of the reason for a red step; None for a green one."""
        return self.red if as_root or self.as_other is None else self.as_other


def fixed(script: str) -> Script:
    """Return a script that is the same each time."""
    return lambda _moments, _victim: script


def on_standby(script: Script) -> Script:
    """Return a script that attacks while it stands by, and says nothing before its step begins."""
    return lambda moments, victim: script(moments, victim).replace("opened", f"{_AWAITED}; opened", 1)


def links(moments: random.Random, victim: str) -> str:
    """Put a link or a pipe in place of each file, and under each name that the host may use beside it."""
    # A copy into the pipe of a container on standby would wait for a reader for ever.
    copy = "timeout 1 cp /dev/null"
    made = moments.choice([f"ln -sf {victim}", f"ln -f {victim}", f"mv -f {victim}", "mkfifo", "mkdir", copy])
    names = "messages.jsonl context.json .messages.jsonl.clean go stdout.log ../container.json ../verdict.json"
    return f"""
    for name in {names} $(seq -f .context.json.%g 1 40) $(seq -f ../.messages.%g 1 40); do
        rm -rf /drayage/io/$name 2> /dev/null || true
        {made} /drayage/io/$name 2> /dev/null || true
    done
    rm -rf /drayage/io /drayage 2> /dev/null || true
    {_HONEST}
    """


def standby_pipe(moments: random.Random, _victim: str) -> str:
    """Write into the pipe that the context will come through, or hold its ends without reading."""
    pipe = "/drayage/io/context.json"
    done = moments.choice(
        [
            f"(echo '{{\"extras\":{{}}}}' > {pipe}) 2> /dev/null &",
            f"(exec 3<> {pipe}; sleep 600) 2> /dev/null &",
            f"(exec 3< {pipe}; sleep 600) 2> /dev/null &",
            f"(exec 3< {pipe}; head -c 1 <&3; exec 3<&-) > /dev/null 2>&1 &",
            f"for i in $(seq 20); do (cat {pipe} > /dev/null 2>&1; sleep 600) & done;",
        ]
    )
    return f"{done} {_AWAITED}; {_HONEST}"


def leak(moments: random.Random, _victim: str) -> str:
    """Say the secret, in one of many places and encodings."""
    secret = f"/run/secrets/{SECRET_NAME}"
    said = moments.choice(
        [
            f'log "$(cat {secret})"',
            f"cat {secret}",
            f"cat {secret} >&2",
            f"custom '{{\"x\":\"'$(cat {secret})'\"}}'",
            f"printf '%s' \"$(cat {secret})\" | fold -w 7 | while read -r part; do printf %s $part; sleep 0.05; done",
        ]
    )
    return f"opened; {said}; report '{{}}'; closed"


def hole(moments: random.Random, _victim: str) -> str:
    """Make a sparse file of the messages."""
    return f"opened; truncate -s {moments.randint(1, 4)}G /drayage/io/messages.jsonl; {_HONEST}"


def garbage(moments: random.Random, _victim: str) -> str:
    """Write what is no message."""
    said = moments.choice(
        [
            "head -c 300000 /dev/urandom",
            "yes '{}' | head -n 20000",
            "yes '[]' | head -n 20000",
            "yes | head -c 5000000",
            "head -c 200000 /dev/zero | tr '\\0' '['",
            "head -c 200000 /dev/zero | tr '\\0' 9",
            """for i in $(seq 30000); do printf '{"a":'; done""",
            "printf '\\377\\376\\0\\n'",
            """printf '{"__dagster_pipes_version":"0.1","method":"__class__","params":{}}\\n'""",
            """printf '{"__dagster_pipes_version":"0.1","method":"opened","params":[]}\\n'""",
            """printf '{"__dagster_pipes_version":"9","method":"log","params":{"message":"x","level":"INFO"}}\\n'""",
        ]
    )
    return f"opened; {{ {said}; echo; }} >> /drayage/io/messages.jsonl; report '{{}}'; closed"


def results(moments: random.Random, victim: str) -> str:
    """Report what was not declared, or what cannot be stored."""
    key = '"asset_key":"report","data_version":null'
    said = moments.choice(
        [
            f"""send report_asset_materialization '{{"asset_key":"{victim}","metadata":{{}},"data_version":null}}'""",
            """send report_asset_materialization '{"asset_key":"../../x","metadata":{},"data_version":null}'""",
            f"""send report_asset_materialization '{{{key},"metadata":{{"x":{{"type":"json","raw_value":NaN}}}}}}'""",
            f"""send report_asset_materialization '{{{key},"metadata":{{"x":{{"type":"int","raw_value":1e999}}}}}}'""",
            """send report_asset_materialization '{"asset_key":"report","metadata":{},"data_version":"\\\\u0000"}'""",
            """send report_asset_check '{"asset_key":"report","check_name":"none","passed":true,"metadata":{}}'""",
        ]
    )
    return f"opened; {said}; report '{{}}'; closed"


ATTACKS = (
    Attack("links", links),
    Attack("context", fixed(f"if echo x >> /drayage/io/context.json; then exit 7; fi; {_HONEST}")),
    Attack("mount", fixed(f"mount --bind /etc /drayage/io 2>/dev/null || umount /drayage/io/*.jsonl || {_HONEST}")),
    Attack("leak", leak),
    Attack(
        "leak-raw", fixed(f"opened; cat /run/secrets/{SECRET_NAME} >> $messages; echo >> $messages"), red="not JSON"
    ),
    Attack("truncated", fixed(f"{_HONEST}; sleep 1; : > /drayage/io/messages.jsonl"), red=TRUNCATED),
    # Either limit, whichever the hole passes.
    Attack("hole", hole, red=rf"{TOO_LONG}|\(messages_bytes\)"),
    Attack(
        "rough-hole",
        fixed("opened; for i in $(seq 200); do truncate -s 2G $messages; : > $messages; done; send dance '{}'; exit 1"),
        red="",
    ),
    Attack(
        "long-message",
        fixed(
            "opened; head -c 40000000 /dev/zero | tr '\\0' x >> /drayage/io/messages.jsonl; echo >> $messages; "
            + _HONEST
        ),
        red=TOO_LONG,
    ),
    Attack("garbage", garbage, red="message|understood"),
    Attack("results", results, red="asset|check|metadata|data_version|reported|NaN"),
    Attack("no-close", fixed("opened; report '{}'; exit 0"), red="never closed"),
    Attack("nothing", fixed("exit 0"), red="[Pp]ipes"),
    Attack("after-close", fixed("opened; closed; report '{}'"), red="after|closed"),
    Attack(
        "flood",
        fixed("opened; head -c 30000000 /dev/zero | tr '\\0' y; seq 200000 >&2; report '{}'; closed"),
    ),
    Attack(
        "deaf",
        fixed("trap '' TERM INT HUP; opened; while :; do sleep 0.1; done"),
        red="within 4 s",
        settings={"timeout_s": 4, "stop_grace_s": 1},
    ),
    Attack(
        "stopped",
        fixed("opened; sh -c 'kill -STOP $PPID'; while :; do sleep 0.1; done"),
        red=r"idle_timeout_s|within 4 s",
        settings={"idle_timeout_s": 4, "stop_grace_s": 1},
    ),
    Attack("killed", fixed("opened; report '{}'; closed; kill -9 $$; exit 1"), red="code 137|signal|SIGKILL"),
    Attack(
        "taken", fixed(f"opened; chown 4242:4242 $messages; chmod 000 $messages; {_HONEST.removeprefix('opened; ')}")
    ),
    Attack(
        "taken-secret",
        fixed(f"opened; log $(cat /run/secrets/{SECRET_NAME}); chown 4242:4242 $messages; chmod 000 $messages; exit 1"),
        red="code 1",
    ),
    # Before the context comes, a pipe stands in its place, and the folder is mounted.
    Attack("standby-links", on_standby(links), ahead=True),
    Attack("standby-pipe", standby_pipe, ahead=True),
    Attack(
        "standby-taken",
        fixed(
            f"chown 4242:4242 $messages; chmod 000 $messages; chmod 777 /drayage/io/* || true; {_AWAITED}; {_HONEST}"
        ),
        ahead=True,
    ),
    Attack("standby-leak", on_standby(leak), ahead=True),
    Attack("standby-early", fixed(f"opened; {_AWAITED}; {_HONEST.removeprefix('opened; ')}"), ahead=False),
    Attack("standby-truncated", fixed(f"opened; {_AWAITED}; sleep 1; : > $messages"), red=TRUNCATED, ahead=False),
    Attack(
        "standby-flood",
        fixed(f"head -c 30000000 /dev/zero | tr '\\0' y; seq 200000 >&2; {_AWAITED}; {_HONEST}"),
        ahead=True,
    ),
    Attack("standby-ends", fixed("exit 0"), red="[Pp]ipes", ahead=False),
)
