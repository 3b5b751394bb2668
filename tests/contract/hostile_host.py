"""A Dagster host that runs hostile workloads, as root or as another user, and says how each ended.

    python hostile_host.py FOLDER DEPLOYMENT UID GID

It reads one attack as JSON a line (name and seed), and writes one line about it.
"""

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
from contract_steps import GREEN, SHELL_IMAGE, materialize, shell, step
from dagster_docker import PipesDockerClient
from hostile_attacks import ATTACKS, SECRET_NAME
from typer.testing import CliRunner

from drayage import DrayageClient, FileSecret, SweepLimits
from drayage.cli.app import app

_LONGEST_STEP_S = 40.0
READING = ("messages", "logs", "steps")


FIRST = """
opened; send report_asset_materialization '{"asset_key":"first","metadata":{},"data_version":null}'; closed
"""


@dg.asset
def first(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
    """An honest step, while which the next one's container stands by."""
    yield from drayage.run(context=context, image=SHELL_IMAGE, command=shell(FIRST)).get_results()


def run(
    name: str, script: str, folder: Path, deployment: str, *, stands_by: bool = False, **settings: Any
) -> dict[str, Any]:
    """Run a workload, then everything that reads what it left; say what all of them said."""
    started = time.monotonic()
    with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
        client = DrayageClient(
            exchange_root=folder / "exchange",
            deployment=deployment,
            network="none",
            secrets={SECRET_NAME: FileSecret(str(folder / "secret"))},
        )
        arguments = {"timeout_s": _LONGEST_STEP_S, "keep": "never", "standby": stands_by, **settings}
        asset = {"deps": [first]} if stands_by else {}
        report = step(shell(script), secrets=[SECRET_NAME], asset=asset, **arguments)
        assets = [first, report] if stands_by else [report]
        if stands_by:
            # Only a step that has run before can stand by.
            materialize(instance, client, *assets)
        outcome = materialize(instance, client, *assets)
        seconds = time.monotonic() - started
        where = ["--exchange-root", str(folder / "exchange"), "--deployment", deployment]
        (folder / "capsule").unlink(missing_ok=True)
        commands = [[command, outcome.run_id, *(["report"] if command != "steps" else [])] for command in READING]
        commands.append(["capsule", outcome.run_id, "report", "-o", str(folder / "capsule")])
        read = [CliRunner().invoke(app, [*where, *words]) for words in commands]
        strange = [
            f"{words[0]}: {result.exception!r}"
            for words, result in zip(commands, read, strict=True)
            if result.exit_code not in {0, 2}
        ]
        limits = SweepLimits(orphan_grace_s=-1, attempt_age_s=3600, attempts_bytes=2**40)
        swept = client.sweeper(instance, limits).sweep()
    return {
        "attack": name,
        "run": outcome.run_id,
        "green": outcome.success,
        "ahead": "s ahead" in outcome.logged,
        "reason": "" if outcome.success else outcome.failure[0],
        "step_s": seconds,
        "all_s": time.monotonic() - started,
        "said": outcome.logged + "".join(result.output for result in read),
        "strange": strange + swept.errors + [f"stopped {container}" for container in swept.stopped],
    }


def main(folder: Path, deployment: str, uid: int, gid: int) -> None:
    """Take attacks from standard input."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Dagster's and the commands' own output must not get between the answers.
    os.dup2(2, 1)
    if uid != os.geteuid():
        # Whoever the host becomes may not be able to read this Python: everything that it needs is loaded first.
        loaded = folder / "first"
        (loaded / "dagster").mkdir(parents=True)
        (loaded / "secret").write_text("hush-hush")
        run("first", GREEN, loaded, deployment, stands_by=True)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        assert not os.access("/etc/shadow", os.R_OK)
    answers.write(json.dumps({"ready": os.geteuid()}) + "\n")
    answers.flush()
    attacks = {attack.name: attack for attack in ATTACKS}
    for line in sys.stdin:
        wanted = json.loads(line)
        attack = attacks[wanted["attack"]]
        script = attack.script(random.Random(wanted["seed"]), str(folder / "victim"))  # noqa: S311 - the same each time
        stands_by = attack.ahead is not None
        said = run(attack.name, script, folder, deployment, stands_by=stands_by, **attack.settings)
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
