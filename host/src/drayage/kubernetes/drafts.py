"""Remembers a container that was created and not started: nothing of it is in the cluster yet."""

from dataclasses import dataclass

from drayage.engine import ContainerSpec, ContainerState, Found


@dataclass(frozen=True)
class Draft:
    """A container of which a pod can be made.

    Args:
        spec: What it is made of.
        pull_policy: When the node pulls its image; None leaves it to the cluster.
        state: How it is described until then.
        created_at_s: When it was created, in seconds since the epoch.
    """

    spec: ContainerSpec
    pull_policy: str | None
    state: ContainerState
    created_at_s: float

    def found(self) -> Found:
        """Return it as a list of containers describes it."""
        state = self.state
        return Found(state.id, state.name, state.image, state.status, self.created_at_s, state.labels)
