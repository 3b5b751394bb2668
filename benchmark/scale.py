"""Times the commands that list and sweep, with many attempts under one exchange root.

The attempts are like those of green steps, each with its six files; Dagster knows none of their runs, and no container
is left of them. Every command is timed from its start, imports included, as a person waits for it, and beside it the
same command with an empty root. Processor seconds tell more than seconds where something else is running.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from report import RESULTS
from running_stack import describe_machine

_RECORD = {
    "format_version": 1,
    "fingerprint": "f",
    "container_id": "c" * 64,
    "container_name": "step",
    "image": "debian:trixie-slim",
    "image_id": f"sha256:{'0' * 64}",
    "command": ["true"],
}
_VERDICT = {"format_version": 1, "green": True, "measures": {"duration_s": 1.5, "peak_memory_mib": 20.0}}


def main() -> None:
    """Make the attempts, run the commands, and print their seconds and the path of the result."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--attempts", type=int, default=100_000, help="number of attempts")
    arguments.add_argument("--steps", type=int, default=1, help="number of steps in each run")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "exchange", Path(folder) / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        began = time.monotonic()
        runs = [_make_run(root, options.steps, age_s=number) for number in range(options.attempts // options.steps)]
        print(
            f"{options.attempts:,} attempts in {len(runs):,} runs made in {time.monotonic() - began:.0f} s", flush=True
        )
        empty = Path(folder) / "empty"
        # The first command that asks Dagster makes its databases.
        _time("sweep, new DAGSTER_HOME", empty, home, ("sweep",))
        commands = {
            "runs": ("runs",),
            "steps last": ("steps", "last"),
            "steps of the oldest run": ("steps", runs[-1]),
            "first sweep": ("sweep",),
            "second sweep": ("sweep",),
            "third sweep": ("sweep",),
        }
        seconds = {
            **{
                f"{words[0]}, empty root": _time(f"{words[0]}, empty root", empty, home, words)
                for words in (("runs",), ("sweep",))
            },
            **{what: _time(what, root, home, words) for what, words in commands.items()},
        }
    result = {"machine": describe_machine(), "attempts": options.attempts, "runs": len(runs), "seconds": seconds}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"scale-{time.strftime('%Y%m%dT%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)


def _make_run(root: Path, steps: int, *, age_s: float) -> str:
    run_id, began_s = str(uuid.uuid4()), time.time() - 7200 - age_s
    for number in range(steps):
        folder = root / run_id / f"step_{number}" / "0"
        (folder / "io").mkdir(parents=True)
        identity = {"deployment": "d", "run_id": run_id, "root_run_id": run_id, "step": f"step_{number}"}
        record = {**_RECORD, "identity": {**identity, "attempt": 0, "call": 0}, "created_at_s": began_s}
        files = {
            "io/context.json": "{}",
            "io/messages.jsonl": "{}\n",
            "stdout.log": "",
            "stderr.log": "",
            "container.json": json.dumps(record),
            "verdict.json": json.dumps({**_VERDICT, "judged_at_s": began_s}),
        }
        for name, content in files.items():
            (folder / name).write_text(content)
            os.utime(folder / name, (began_s, began_s))
        for changed in (folder, folder.parent, root / run_id):
            os.utime(changed, (began_s, began_s))
    return run_id


def _time(what: str, root: Path, home: Path, words: tuple[str, ...]) -> dict[str, float]:
    command = [sys.executable, "-m", "drayage.cli", "--exchange-root", str(root), *words]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    taken = {"wall_s": round(time.monotonic() - began, 2), "processor_s": round(processor_s, 2)}
    said = done.stdout.strip().split("; ")[-1:] if words[0] == "sweep" else []
    print(f"{what:24} {taken['wall_s']:6.2f} s, processor {taken['processor_s']:6.2f} s  {' '.join(said)}", flush=True)
    return taken


if __name__ == "__main__":
    main()
