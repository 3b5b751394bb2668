from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from manifest_fixture import manifest_json

from nyc_taxi.definitions import build_definitions
from nyc_taxi.images import Inspection
from nyc_taxi.settings import DisplaySettings, Images

IMAGE_IDS = {
    "drayage/generator": "sha256:aaaa",
    "drayage/flink-submit": "sha256:bbbb",
    "drayage/dbt-runner": "sha256:cccc",
    "drayage/auditor": "sha256:dddd",
}


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dg.Definitions:
    """The code location as it loads from images, but without an engine."""
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(tmp_path))
    monkeypatch.setenv("FLINK_UI_URL", "http://127.0.0.1:8081")
    monkeypatch.setenv("OBJECT_STORE_CONSOLE_URL", "http://127.0.0.1:9001")
    monkeypatch.setenv("ICEBERG_CATALOG_LINK_URL", "http://127.0.0.1:8181")
    inspection = Inspection(IMAGE_IDS, manifest_json(), "the manifest of the tests")
    return build_definitions(Images(), inspection, DisplaySettings(git_revision="4711abc"))


@pytest.fixture
def specs(definitions: dg.Definitions) -> Mapping[str, dg.AssetSpec]:
    """The spec of each asset by its key, as people write it."""
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
