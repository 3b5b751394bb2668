"""A Dagster host in its own process, which prints its containers' output on its own standard output.

Usage: ``python printing_host.py <outcome file> <exchange root> <deployment> <script>``.
"""

import json
import sys
from pathlib import Path

import dagster as dg
from contract_steps import materialize, shell, step

from drayage import DrayageClient

if __name__ == "__main__":
    outcome_file, root, deployment, script = sys.argv[1:]
    client = DrayageClient(exchange_root=root, deployment=deployment)
    # Ephemeral: any other instance captures the output in files.
    with dg.DagsterInstance.ephemeral() as instance:
        outcome = materialize(instance, client, step(shell(script)))
    Path(outcome_file).write_text(json.dumps({"success": outcome.success, "logged": outcome.logged}), encoding="utf-8")
