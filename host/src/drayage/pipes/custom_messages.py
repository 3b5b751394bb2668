"""Custom messages that drayage understands itself, by their ``kind``.

``{"kind": "progress", "metadata": {…}}``
    becomes an ``AssetObservation`` while the step runs, so that its numbers are plotted live. The step's own numbers
    (seconds, CPU, memory) join them: a plot then grows as the step does, and has no hole where it was observed.
``{"kind": "partition_metadata", "partition_key": "2024-01", "metadata": {…}}``
    adds metadata to one partition's materialization, in a step that covers several.

Both may carry ``asset_key``; a step of several assets must. Every other custom message is the pipeline's own; of one
with a ``url``, such as ``{"kind": "flink_job", "url": …}``, the page is remembered, for the failure of a red step.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from drayage.dagster_internals import Context, metadata_from_pipes
from drayage.pipes.schema import is_runner_message

Metadata = Mapping[str, dg.MetadataValue]

FIRST_INTERVAL_S = 5.0
MOST_OBSERVATIONS = 30
# 5 s, 6 s, 7.2 s …: thirty observations then cover an hour and a half rather than two and a half minutes.
_INTERVAL_GROWTH = 1.2


class CustomMessages:
    """Consumes the custom messages of one step.

    Args:
        context: Dagster's context of the executing step.
        measures: Tells the step's own numbers up to now.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, context: Context, measures: Callable[[], Metadata] = dict, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._measures = measures
        self._clock = clock
        self._observations: Counter[dg.AssetKey] = Counter()
        self._next_at: dict[dg.AssetKey, float] = {}
        self.links: dict[str, str] = {}

    def __call__(self, payload: Any) -> bool:
        """Consume a custom message.

        Args:
            payload: As the workload sent it.

        Returns:
            Whether that settles it.

        Raises:
            TypeError: Its kind is known and its form is wrong.
        """
        if not is_runner_message(payload):
            self._remember_link(payload)
            return False
        metadata = payload.get("metadata")
        if not isinstance(metadata, Mapping):
            raise TypeError(f"a custom message of kind {payload['kind']!r} needs an object `metadata`")
        if payload["kind"] == "progress":
            self._observe(payload, metadata)
        else:
            self._add_to_partition(payload, metadata)
        return True

    def _observe(self, payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Log an observation, at most every few seconds of each asset: the UI plots its last hundred events only."""
        key = self._asset_key(payload)
        now = self._clock()
        if self._observations[key] >= MOST_OBSERVATIONS or now < self._next_at.get(key, now):
            return
        self._next_at[key] = now + FIRST_INTERVAL_S * _INTERVAL_GROWTH ** self._observations[key]
        self._observations[key] += 1
        partition = self._context.partition_key if self._context.has_partition_key else None
        numbers = {**self._measures(), **metadata_from_pipes(metadata)}
        self._context.log_event(dg.AssetObservation(key, metadata=numbers, partition=partition))

    def _remember_link(self, payload: Any) -> None:
        """Keep the last page of each kind: what was tried again has a new one."""
        if not isinstance(payload, Mapping):
            return
        kind, url = payload.get("kind"), payload.get("url")
        if isinstance(kind, str) and isinstance(url, str) and url.startswith(("http://", "https://")):
            self.links[kind.replace("_", " ")] = url

    def _add_to_partition(self, payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        if not isinstance(self._context, dg.AssetExecutionContext):
            raise TypeError("partition_metadata needs a step that materializes assets")
        self._context.add_asset_metadata(
            metadata_from_pipes(metadata), asset_key=self._asset_key(payload), partition_key=payload["partition_key"]
        )

    def _asset_key(self, payload: Mapping[str, Any]) -> dg.AssetKey:
        selected = self._context.selected_asset_keys if self._context.has_assets_def else set()
        named = payload.get("asset_key")
        if named is None and len(selected) == 1:
            return next(iter(selected))
        if named is None:
            raise TypeError("the message needs an `asset_key`: the step has not exactly one asset")
        key = dg.AssetKey.from_escaped_user_string(named)
        if key not in selected:
            raise TypeError(f"{named!r} is none of the step's assets")
        return key
