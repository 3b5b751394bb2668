"""A workload that does anything to what it can reach fails alone: its step is red and says why, or green and right."""

import pytest
from cluster_steps import ClusterDeployment, metadata
from contract_steps import GREEN

ATTACKS = {
    "a link in the messages' place": 'opened; sleep 1; rm "$messages"; ln -s /etc/passwd "$messages"; sleep 1',
    "a pipe in the messages' place": 'opened; sleep 1; rm "$messages"; mkfifo "$messages"; sleep 1',
    "a folder in the messages' place": 'opened; sleep 1; rm "$messages"; mkdir "$messages"; sleep 1',
    "no messages any more": 'opened; sleep 1; rm "$messages"; sleep 1',
    "shorter messages": 'opened; closed; sleep 1; : > "$messages"; sleep 1',
    "a terabyte of nothing": 'opened; sleep 1; truncate -s 1T "$messages"; sleep 1',
}


@pytest.mark.parametrize("script", ATTACKS.values(), ids=ATTACKS)
def test_messages_that_are_not_only_appended_make_the_step_red(cluster: ClusterDeployment, script: str) -> None:
    outcome = cluster.run(script)
    assert not outcome.success
    assert "truncated or replaced" in outcome.failure[0] or "must only append" in outcome.failure[0]
    kept = list(cluster.exchange_root.glob("*/report/0/io/messages.jsonl"))
    assert [path.stat().st_size < 1000 for path in kept] == [True], "nothing but its own words came"


def test_the_relays_own_files_are_out_of_reach(cluster: ClusterDeployment) -> None:
    """It cannot end the relay, nor make the host believe that it has ended."""
    script = "touch /drayage/io/.done /drayage/io/.ended; test ! -e /drayage/state; sleep 2; "
    outcome = cluster.run(script + GREEN)
    assert outcome.success, outcome.failure
    assert metadata(outcome)["rows"] == 3


def test_a_flood_is_stopped_at_its_limit(cluster: ClusterDeployment) -> None:
    outcome = cluster.run('opened; while true; do head -c 100000 /dev/zero >> "$messages"; done', messages_bytes="1m")
    assert "messages_bytes" in outcome.failure[0]


def test_a_workload_gets_no_token_of_the_cluster(cluster: ClusterDeployment) -> None:
    outcome = cluster.run("test ! -e /var/run/secrets/kubernetes.io; " + GREEN)
    assert outcome.success, outcome.failure
