"""What a workload says for itself is plain text in its verdict too."""

from pathlib import Path

from fake_engine import FakeEngine

from drayage.exchange.directory import Exchange
from drayage.exchange.history import read_step
from drayage.identity import Identity
from drayage.request import ContainerRequest
from drayage.settings import StepSettings
from drayage.step.runner import Runner
from drayage.verdict.judge import Ending, Facts

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b2J\x7f"


def test_no_code_of_a_terminal_is_in_a_verdict(tmp_path: Path) -> None:
    identity = Identity("d", "run", "run", "step", 0, 0)
    request = ContainerRequest(identity=identity, image="image", settings=StepSettings())
    runner = Runner(request, FakeEngine(), on_custom=lambda _payload: True)
    runner.losses.note(f"no{STEERING}te")
    said = {"name": "E", "message": f"bo{STEERING}om", "stack": [], "cause": None, "context": None}
    attempt = Exchange(tmp_path).create("run/step/0")
    verdict = runner.judge(Facts(Ending(0), opened=True, closed=True, exception=said))
    assert [reason.text for reason in verdict.reasons] == ["the workload failed with E: boom"]
    runner.record(attempt, verdict, state=None)
    record = read_step(attempt).verdict
    assert record is not None
    assert record.reasons == ("the workload failed with E: boom",)
    assert record.notes == ("note",)
