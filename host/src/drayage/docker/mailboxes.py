"""Opens the mailboxes of an engine's containers, and knows which container has which.

A container with a relayed mailbox has its name as a label; so has the relay, which has no attempt of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from weakref import WeakValueDictionary

import docker

from drayage.docker.relay import is_relay, mailbox_name, remove_mailbox
from drayage.docker.relayed import RelayedMailbox
from drayage.docker.sharing import Sharing
from drayage.engine import ContainerSpec, ContainerState, Found, Mailbox
from drayage.errors import SettingsError
from drayage.identity import EXCHANGE, MAILBOX
from drayage.mailbox import FolderMailbox


class Mailboxes:
    """The mailboxes of one engine's containers.

    Args:
        client: Returns the client of the engine.
        own_container: Returns the engine's description of the container that this process runs in, if any.
    """

    def __init__(
        self, client: Callable[[], docker.DockerClient], own_container: Callable[[], Mapping[str, Any] | None]
    ) -> None:
        self._client = client
        self._sharing = Sharing(client, own_container)
        # The relayed ones that this process has open, and the names of those of the containers that it has seen.
        self._open: WeakValueDictionary[str, RelayedMailbox] = WeakValueDictionary()
        self._names: dict[str, str] = {}

    def open(self, folder: Path, *, labels: Mapping[str, str], waits: bool, receives: bool) -> Mailbox:
        """Open the mailbox of one attempt: files of this machine if the engine sees them, else a volume and a relay."""
        # The attempt's directory is named by its path below the exchange root.
        name = PurePosixPath(labels.get(EXCHANGE, ""))
        if self._sharing.sees(folder.parents[len(name.parts)], labels):
            return FolderMailbox(folder, waits=waits, receives=receives)
        mailbox = RelayedMailbox(self._client(), folder, labels, waits=waits, receives=receives)
        self._open[mailbox.relay.name] = mailbox
        return mailbox

    def named_in(self, spec: ContainerSpec) -> ContainerSpec:
        """Label a container with its mailbox, if that is relayed; then it can have no other files of this machine.

        Raises:
            SettingsError: It has a mount of others.
        """
        mailbox = self._open.get(mailbox_name(spec.labels))
        if mailbox is None:
            return spec
        for mount in spec.mounts:
            if mount.kind == "local":
                raise SettingsError(
                    f"mounts: the engine shares no files with this machine, so {mount.source} cannot be mounted at "
                    f"{mount.target}. Name a path of the engine's own (kind='bind') or a volume there (kind='volume'). "
                    "Nothing was started."
                )
        mailbox.is_used = True
        return replace(spec, labels={**spec.labels, MAILBOX: mailbox.relay.name})

    def note(self, container: ContainerState | Found) -> None:
        """Note which mailbox a container has, for when it ends or goes."""
        if name := container.labels.get(MAILBOX):
            self._names[container.id] = name

    def note_end(self, container_id: str) -> None:
        """Let a container's mailbox find out how much there is to read, now that the container has ended."""
        if mailbox := self._open.get(self._names.get(container_id, "")):
            mailbox.note_end()

    def remove(self, container_id: str) -> None:
        """Remove what the mailbox of a removed container occupies."""
        if name := self._names.pop(container_id, None):
            remove_mailbox(self._client(), name)

    def left_volumes(self, wanted: list[str], found: Sequence[Found]) -> Sequence[Found]:
        """Return the volumes whose relay is gone, since the process that made or removed them was killed just then.

        Args:
            wanted: The labels that they must have, as the engine is asked for them.
            found: The containers that have these labels.
        """
        listed = self._client().api.volumes(filters={"label": [MAILBOX, *wanted]})["Volumes"] or ()
        served = {each.labels.get(MAILBOX) for each in found}
        left = [
            Found(
                id=volume["Name"],
                name=volume["Name"],
                image="",
                status="created",
                created_at_s=datetime.fromisoformat(volume["CreatedAt"]).timestamp(),
                labels=volume["Labels"],
            )
            for volume in listed
            if volume["Name"] not in served
        ]
        for each in left:
            self.note(each)
        return left

    def without_served(self, found: Sequence[Found]) -> Sequence[Found]:
        """Leave out the relays that serve another container among these: they go with it.

        What is left of a mailbox whose container is gone counts as created: it never works for a step by itself.
        """
        for each in found:
            self.note(each)
        served = {each.labels.get(MAILBOX) for each in found if not is_relay(each.labels)}
        return [
            replace(each, status="created") if is_relay(each.labels) else each
            for each in found
            if not (is_relay(each.labels) and each.labels[MAILBOX] in served)
        ]
