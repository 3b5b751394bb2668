"""The host is killed at random moments, again and again, and nothing is lost or done twice.

``SOAK_ROUNDS`` sets the number of rounds on each engine (``make soak``: fifty), ``SOAK_SEED`` the moments.
"""

import collections
import os
import random
import subprocess
from dataclasses import dataclass

import dagster as dg
import pytest
from contract_steps import StepOutcome, outcome_of
from host_process import DEADLINE_S, Host

from drayage import SweepLimits

pytestmark = pytest.mark.engine

# The rounds of other engines are about what is different there.
ROUNDS = {"docker": 5, "remote-docker": 2, "kubernetes": 1}
SEED = int(os.environ.get("SOAK_SEED", "20260101"))
MOST_KILLS = 4
# How long the job takes on an idle machine with two cores, from its host's start to its end, with some margin.
_LONGEST_LIFE_S = 12.0
STEPS = {"upstream", "streamed", "collected"}
ASSETS = {"upstream", "streamed_first", "streamed_second", "collected_first", "collected_second"}
CHECKED = ASSETS - {"upstream"}


@dataclass(frozen=True)
class History:
    """What the event log holds of a chain of retries."""

    outcomes: list[StepOutcome]

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> "History":
        return cls([outcome_of(instance, run.run_id) for run in reversed(instance.get_runs())])

    def count(self, kind: dg.DagsterEventType) -> collections.Counter[str]:
        """Return how many events of a type each step, asset or checked asset has."""
        found: collections.Counter[str] = collections.Counter()
        for outcome in self.outcomes:
            for event in outcome.events:
                if event.event_type != kind:
                    continue
                if kind == dg.DagsterEventType.ASSET_MATERIALIZATION:
                    assert event.asset_key is not None
                    found[event.asset_key.to_user_string()] += 1
                elif kind == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    found[event.asset_check_evaluation_data.asset_key.to_user_string()] += 1
                else:
                    found[event.step_key or ""] += 1
        return found

    @property
    def succeeded(self) -> set[str]:
        return set(self.count(dg.DagsterEventType.STEP_SUCCESS))


@pytest.mark.parametrize(
    ("engine_kind", "number"),
    [
        pytest.param(kind, number, id=f"{kind}-{number}", marks=pytest.mark.kubernetes if kind == "kubernetes" else ())
        for kind, rounds in ROUNDS.items()
        for number in range(int(os.environ.get("SOAK_ROUNDS", rounds)))
    ],
    indirect=["engine_kind"],
    scope="session",
)
def test_a_host_killed_at_random_moments_does_everything_once(host: Host, number: int) -> None:
    moments = random.Random(f"{SEED}/{number}")  # noqa: S311 - no cryptography; the same moments for the same seed
    retried = None
    for _ in range(moments.randint(1, MOST_KILLS)):
        process = host.start("crashing", retried=retried)
        try:
            # Not synchronisation: this is the random moment of the kill.
            process.wait(timeout=moments.uniform(0.5, _LONGEST_LIFE_S))
        except subprocess.TimeoutExpired:
            host.kill_if_running(process)
        if host.instance.get_runs_count():
            # Killed before it created its run: the same run is retried again.
            retried = host.last_run().run_id
        if History.of(host.instance).succeeded == STEPS:
            break
    if History.of(host.instance).succeeded != STEPS:
        process = host.start("crashing", retried=retried)
        assert process.wait(timeout=DEADLINE_S) == 0, host.last_run()
    history = History.of(host.instance)
    assert history.succeeded == STEPS
    assert host.deployment.starts() == len(STEPS), "each step starts one container"
    assert history.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == dict.fromkeys(ASSETS, 1)
    assert history.count(dg.DagsterEventType.ASSET_CHECK_EVALUATION) == dict.fromkeys(CHECKED, 1)
    assert history.count(dg.DagsterEventType.STEP_FAILURE) == {}, "a kill is not a failure of a step"
    # The sweeper removes what a killed host could not.
    report = host.deployment.client().sweeper(host.instance, SweepLimits(orphan_grace_s=-1)).sweep()
    assert report.errors == []
    assert report.stopped == []
    assert host.deployment.left_behind() == []
