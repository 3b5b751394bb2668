"""Says what run workers are to be made from now, as the code servers and the launcher's settings have it."""

import logging
from collections.abc import Callable, Collection

from drayage.dagster_internals import launching
from drayage.errors import DrayageError
from drayage.launcher.blueprint import Blueprint
from drayage.launcher.launcher import StandbyRunLauncher
from drayage.launcher.pool import LOGGER

_Place = tuple[str, str]

_log = logging.getLogger(LOGGER)


class CurrentBlueprints:
    """Returns one blueprint for each repository of each code server; of one that does not answer, the last one.

    A code server is asked once for each time that it loads its definitions; image and settings are looked up each time.

    Args:
        launcher: The launcher.
        workspace: Returns the code locations as they are now.
    """

    def __init__(self, launcher: StandbyRunLauncher, workspace: Callable[[], launching.Workspace]) -> None:
        self._launcher = launcher
        self._workspace = workspace
        # The id of the code server, with what it said.
        self._described: dict[_Place, tuple[str, tuple[str, str] | None]] = {}
        self._blueprints: dict[_Place, Blueprint] = {}
        self._complaints: dict[_Place, str] = {}

    def __call__(self) -> Collection[Blueprint]:
        """Return the blueprints."""
        workspace = self._workspace()
        for location, server_id, repository in launching.code_servers(workspace):
            place = (location, repository.name)
            try:
                if self._described.get(place, ("",))[0] != server_id:
                    self._described[place] = (server_id, self._describe(workspace, location, repository))
                description = self._described[place][1]
                if description is None:
                    self._blueprints.pop(place, None)
                    continue
                self._blueprints[place] = self._launcher.blueprint(*description, server_id)
                self._complaints.pop(place, None)
            except (DrayageError, *launching.UNREACHABLE) as error:
                if str(error) != self._complaints.get(place):
                    _log.warning("No new run worker can stand by for code location %s: %s", location, error)
                self._complaints[place] = str(error)
        for place in [it for it in self._blueprints if it[0] not in workspace.code_location_names]:
            del self._blueprints[place]
        return self._blueprints.values()

    def _describe(self, workspace: launching.Workspace, location: str, repository: object) -> tuple[str, str] | None:
        description = launching.describe_repository(workspace, location, repository)
        if description is None:
            _log.warning(
                "No run worker stands by for code location %s: none of its jobs can be planned without configuration, "
                "which is what tells the state of its definitions.",
                location,
            )
        return description
