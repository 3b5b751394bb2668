from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from manifest_fixture import manifest_json

from nyc_taxi.definitions import build_definitions
from nyc_taxi.images import Inspection
from nyc_taxi.settings import Images

IMAGE_IDS = {
    "drayage/generator": "sha256:aaaa",
    "drayage/flink-submit": "sha256:bbbb",
    "drayage/dbt-runner": "sha256:cccc",
}


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dg.Definitions:
    """The code location as it loads from images, without an engine."""
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(tmp_path))
    return build_definitions(Images(), Inspection(IMAGE_IDS, manifest_json(), "a test's manifest"))


@pytest.fixture
def specs(definitions: dg.Definitions) -> Mapping[str, dg.AssetSpec]:
    """Every asset by its key as people write it."""
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
