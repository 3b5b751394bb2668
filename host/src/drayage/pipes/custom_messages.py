"""Handles the custom messages that drayage itself understands, by their ``kind``.

``{"kind": "progress", "metadata": {…}}``
    becomes an ``AssetObservation`` while the step runs, so that its numbers are plotted live. The step's own numbers
    (seconds, CPU, memory) are added to it, so that their plots also grow during the step and have no gaps at its
    observations.
``{"kind": "partition_metadata", "partition_key": "2024-01", "metadata": {…}}``
    adds metadata to one partition's materialization, in a step that covers several.

Both may have an ``asset_key``, which is required in a step with several assets. All other custom messages are the
pipeline's own. If one has a ``url``, such as ``{"kind": "flink_job", "url": …}``, the URL is remembered, and shown in
the failure if the step is red.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import dagster as dg

from drayage.dagster_internals import Context, metadata_from_pipes
from drayage.pipes.schema import is_runner_message
from drayage.verdict.own_metadata import beside_own

Metadata = Mapping[str, dg.MetadataValue]

FIRST_INTERVAL_S = 5.0
MOST_OBSERVATIONS = 30
# 5 s, 6 s, 7.2 s …: thirty observations then cover an hour and a half instead of two and a half minutes.
_INTERVAL_GROWTH = 1.2


class CustomMessages:
    """Consumes the custom messages of one step.

    Args:
        context: Dagster's context of the executing step.
        measures: Returns the step's own numbers so far.
        recorded: Returns the assets that Dagster has, or will have, recorded: it takes no more metadata for them.
        clock: Returns monotonic time, in seconds.
    """

    def __init__(
        self,
        context: Context,
        measures: Callable[[], Metadata] = dict,
        *,
        recorded: Callable[[], Collection[dg.AssetKey]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._measures = measures
        self._recorded = recorded
        self._clock = clock
        self._observations: Counter[dg.AssetKey] = Counter()
        self._next_at: dict[dg.AssetKey, float] = {}
        self.links: dict[str, str] = {}

    def __call__(self, payload: Any) -> bool:
        """Consume a custom message.

        Args:
            payload: The payload, as the workload sent it.

        Returns:
            Whether drayage has handled the message completely.

        Raises:
            TypeError: The kind is known, but the message does not have the form of its kind.
        """
        if not is_runner_message(payload):
            self._remember_link(payload)
            return False
        metadata = payload.get("metadata")
        if not isinstance(metadata, Mapping):
            raise TypeError(f"a custom message of kind {payload['kind']!r} needs a `metadata` object")
        if payload["kind"] == "progress":
            self._observe(payload, metadata)
        else:
            self._add_to_partition(payload, metadata)
        return True

    def _observe(self, payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Log an observation, at most one every few seconds for each asset: the UI plots its last 100 events only."""
        key = self._asset_key(payload)
        # Before the message may be left out: a step must not be red at one speed, and green at another.
        numbers = _numbers(metadata)
        now = self._clock()
        if self._observations[key] >= MOST_OBSERVATIONS or now < self._next_at.get(key, now):
            return
        self._next_at[key] = now + FIRST_INTERVAL_S * _INTERVAL_GROWTH ** self._observations[key]
        self._observations[key] += 1
        partition = self._context.partition_key if self._context.has_partition_key else None
        observed = {**self._measures(), **numbers}
        self._context.log_event(dg.AssetObservation(key, metadata=observed, partition=partition))

    def _remember_link(self, payload: Any) -> None:
        """Keep the last URL of each kind, because a retried operation has a new one."""
        if not isinstance(payload, Mapping):
            return
        kind, url = payload.get("kind"), payload.get("url")
        if isinstance(kind, str) and isinstance(url, str) and url.startswith(("http://", "https://")):
            self.links[kind.replace("_", " ")] = url

    def _add_to_partition(self, payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        if not isinstance(self._context, dg.AssetExecutionContext):
            raise TypeError("partition_metadata needs a step that materializes assets")
        key = self._asset_key(payload)
        if key in self._recorded():
            raise TypeError(
                f"the materialization of {key.to_user_string()} was streamed, and is recorded: send the metadata of "
                "its partitions before it"
            )
        self._context.add_asset_metadata(_numbers(metadata), asset_key=key, partition_key=payload["partition_key"])

    def _asset_key(self, payload: Mapping[str, Any]) -> dg.AssetKey:
        selected = self._context.selected_asset_keys if self._context.has_assets_def else set()
        named = payload.get("asset_key")
        if named is None and len(selected) == 1:
            return next(iter(selected))
        if named is None:
            raise TypeError("the message needs an `asset_key`: the step does not have exactly one asset")
        key = dg.AssetKey.from_escaped_user_string(named)
        if key not in selected:
            raise TypeError(f"{named!r} is not one of the step's assets")
        return key


def _numbers(metadata: Mapping[str, Any]) -> Metadata:
    return beside_own(metadata_from_pipes(metadata))
