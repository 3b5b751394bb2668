"""Programs that know nothing of Pipes: their output and exit code are judged as strictly as any other's."""

import dagster as dg
import pydantic
import pytest
from contract_steps import Deployment, materialize, step
from typer.testing import CliRunner

from drayage import DrayageClient, promises
from drayage.cli.app import app

pytestmark = pytest.mark.engine


class Report(pydantic.BaseModel):
    rows: int


def plain(script: str) -> list[str]:
    """Return a program that does not use Pipes."""
    return ["sh", "-c", script]


@pytest.mark.parametrize(
    ("adapter", "script"),
    [
        ("key_value", "echo loading; echo rows=3; echo rate=1.5; printf name=yellow"),
        ("json_lines", 'echo loading; echo \'{"rows": 3, "rate": 1.5}\'; printf \'{"name": "yellow"}\''),
    ],
)
def test_output_becomes_metadata(
    instance: dg.DagsterInstance, client: DrayageClient, adapter: str, script: str
) -> None:
    asset = step(plain(script), adapter=adapter, asset={"metadata": promises(Report)})
    outcome = materialize(instance, client, asset)
    assert outcome.success, outcome.failure
    (metadata,) = outcome.materializations
    assert (metadata["rows"], metadata["rate"], metadata["name"], metadata["exit_code"]) == (3, 1.5, "yellow", 0)
    assert metadata["duration_s"] > 0


@pytest.mark.parametrize(
    ("adapter", "script", "says"),
    [
        ("key_value", "true", "nothing to report (0 lines were treated as log lines)"),
        ("key_value", "echo rows=3 >&2", "nothing to report (0 lines"),
        ("json_lines", "echo '{\"rows\": 3'", "line 1 of standard output is not a JSON object"),
        ("key_value", "echo rows=three", "'rows' is of type text, not int"),
        ("key_value", "echo lines=3", "'rows' (int) is missing"),
        ("json_lines", "echo '{\"rows\": 3}'; exit 4", "it exited with code 4"),
    ],
)
def test_whatever_is_wrong_makes_the_step_red(
    instance: dg.DagsterInstance, client: DrayageClient, adapter: str, script: str, says: str
) -> None:
    asset = step(plain(script), adapter=adapter, asset={"metadata": promises(Report)})
    outcome = materialize(instance, client, asset)
    assert not outcome.success
    assert says in outcome.failure[0]
    assert outcome.materializations == []


def test_what_a_failed_program_printed_is_kept_as_an_observation(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    outcome = materialize(instance, client, step(plain("echo rows=3; exit 4"), adapter="key_value"))
    (observation,) = outcome.observations
    assert (observation["rows"], observation["exit_code"], observation["drayage/partial"]) == (3, 4, True)


def test_an_adapter_that_fails_half_way_is_red_and_the_output_stays(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    """Python reads so deep a line at the top of a thread, and cannot write it from below a step's many calls."""
    script = f"echo '{{\"rows\": 3}}'; echo '{{\"deep\": {960 * '['}{960 * ']'}}}'; echo last"
    outcome = materialize(instance, client, step(plain(script), adapter="json_lines"))
    text, metadata = outcome.failure
    assert "some of its output was lost: the adapter failed (RecursionError: " in text
    assert metadata["debug_command"]
    assert outcome.materializations == []
    (log,) = deployment.exchange_root.glob("*/report/*/stdout.log")
    assert [line[:11] for line in log.read_text().splitlines()] == ['{"rows": 3}', '{"deep": [[', "last"]
    (messages,) = deployment.exchange_root.glob("*/report/*/io/messages.jsonl")
    assert '"opened"' in messages.read_text()


@pytest.mark.parametrize("harm", [": > $m", "echo '{}' >> $m", "rm $m", "ln -sf /etc/passwd $m", "mv $m $m.old"])
def test_a_program_cannot_touch_the_messages_that_its_adapter_writes(
    instance: dg.DagsterInstance, client: DrayageClient, harm: str
) -> None:
    script = f"m=/drayage/io/messages.jsonl; if ( {harm} ) 2> /dev/null; then echo rows=1; else echo rows=0; fi"
    outcome = materialize(instance, client, step(plain(script), adapter="key_value"))
    assert outcome.success, outcome.failure
    assert outcome.materializations[-1]["rows"] == 0, "it was let"


def test_a_replay_reads_the_output_the_same_way(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient
) -> None:
    assert materialize(instance, client, step(plain("echo rows=3"), adapter="key_value")).success
    place = ["--exchange-root", str(deployment.exchange_root), "--deployment", deployment.name]
    done = CliRunner().invoke(app, [*place, "replay", "last", "report", "--yes"])
    assert "The replay is green" in done.output
    done = CliRunner().invoke(app, [*place, "messages", "last", "report"])
    assert "rows" in done.output
