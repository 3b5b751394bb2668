"""Defines what ``run`` returns: the reported results, with the step's own numbers on each materialization."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from drayage.exchange.directory import Attempt
from drayage.pipes.schema import is_runner_message
from drayage.strangers import open_regular
from drayage.verdict.results import AlreadyLogged, in_order, with_metadata, without_logged


class DrayageInvocation(dg.PipesClientCompletedInvocation):
    """A completed step.

    Args:
        session: The step's Pipes session.
        metadata: Metadata that is added to what each materialization reported.
        attempt: The step's exchange directory.
        implicit_materializations: Whether assets that nothing was reported for count as materialized.
        keep_custom: Whether custom messages are in memory; otherwise they are read from the exchange directory.
        already_logged: What an interrupted run has logged already, and this one must not log again.
    """

    def __init__(
        self,
        session: dg.PipesSession,
        *,
        metadata: Mapping[str, dg.MetadataValue],
        attempt: Attempt,
        implicit_materializations: bool,
        keep_custom: bool,
        already_logged: AlreadyLogged,
    ) -> None:
        super().__init__(session, metadata=metadata)
        self._attempt = attempt
        self._implicit = implicit_materializations
        self._keep_custom = keep_custom
        self._already_logged = already_logged

    def get_results(self, *, implicit_materializations: bool | None = None) -> Sequence[dg.PipesExecutionResult]:
        """Return what was reported; what an interrupted run has logged already is not logged again.

        Args:
            implicit_materializations: Whether assets that nothing was reported for count as materialized. None takes
                the client's setting, which is off by default: what was not reported did not happen. Without that
                setting, a step must report what its argument ``reports`` names, by default everything.
        """
        implicit = self._implicit if implicit_materializations is None else implicit_materializations
        results = self._session.get_results(implicit_materializations=implicit)
        complete = [with_metadata(result, self.metadata) for result in in_order(self._session.context, results)]
        return tuple(without_logged(self._session.context, complete, self._already_logged))

    def get_materialize_result(self, *, implicit_materialization: bool | None = None) -> dg.MaterializeResult[Any]:
        """Return the only materialization of a single-asset step, with its checks.

        Args:
            implicit_materialization: As in :meth:`get_results`.
        """
        # The inherited method calls get_results above.
        implicit = self._implicit if implicit_materialization is None else implicit_materialization
        return super().get_materialize_result(implicit_materialization=implicit)

    def get_custom_messages(self) -> Sequence[Any]:
        """Return the custom messages' payloads, read from the exchange directory rather than held in memory."""
        if self._keep_custom:
            return super().get_custom_messages()
        payloads = []
        with open_regular(self._attempt.messages) as lines:
            for line in lines:
                # Parsing costs most of the time. A method may be written with escapes too.
                if b"report_custom_message" in line or b"\\u" in line:
                    message = json.loads(line)
                    if message["method"] == "report_custom_message":
                        payload = message["params"]["payload"]
                        if not is_runner_message(payload):
                            payloads.append(payload)
        return payloads
