"""Run the workload as its container does, with files instead of a host."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from dagster_pipes import encode_param

CONTEXT = {
    "asset_keys": ["WORKLOAD_NAME"],
    "code_version_by_asset_key": {"WORKLOAD_NAME": None},
    "provenance_by_asset_key": {"WORKLOAD_NAME": None},
    "partition_key": "2024-01",
    "partition_key_range": {"start": "2024-01", "end": "2024-01"},
    "partition_time_window": None,
    "run_id": "a-run",
    "job_name": "a-job",
    "retry_number": 0,
}


def run(extras: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Run the workload; return its exit code and messages."""
    with tempfile.TemporaryDirectory() as folder:
        context, messages = Path(folder, "context.json"), Path(folder, "messages.jsonl")
        context.write_text(json.dumps({**CONTEXT, "extras": extras}), encoding="utf-8")
        messages.touch()
        environment = {
            **os.environ,
            "DAGSTER_PIPES_CONTEXT": encode_param({"path": str(context)}),
            "DAGSTER_PIPES_MESSAGES": encode_param({"path": str(messages)}),
        }
        done = subprocess.run([sys.executable, "-m", "workload"], env=environment, check=False)
        return done.returncode, [json.loads(line) for line in messages.read_text(encoding="utf-8").splitlines()]


class WorkloadTest(unittest.TestCase):
    def test_it_reports_what_it_counted(self) -> None:
        exit_code, messages = run({"rows": 5})
        assert exit_code == 0
        assert [m["params"]["message"] for m in messages if m["method"] == "log"] == ["5 rows, partition 2024-01"]
        (report,) = [m["params"] for m in messages if m["method"] == "report_asset_materialization"]
        assert report["metadata"]["rows"]["raw_value"] == 5
        assert messages[-1]["method"] == "closed"

    def test_an_error_is_reported_with_the_close(self) -> None:
        exit_code, messages = run({"rows": "many"})
        assert exit_code != 0
        assert messages[-1]["params"]["exception"]["name"] == "ValueError"


if __name__ == "__main__":
    unittest.main()
