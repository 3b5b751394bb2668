"""The command ``prepare_image``: do in the image's build what each step would otherwise repeat.

It writes the parsed project (dbt would parse it again for each month, because its cache depends on ``--vars``), the
manifest that the host makes assets from and the column lineage, and puts DuckDB's extensions into the folder where
DuckDB looks for them.
"""

import hashlib
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from dbt.cli.main import dbtRunner, dbtRunnerResult

from dbt_runner.errors import ProjectError
from dbt_runner.iceberg import EXTENSIONS
from dbt_runner.lineage import read_lineage
from dbt_runner.project import COLUMN_LINEAGE, PARSED_MANIFEST, load_manifest
from dbt_runner.settings import Settings

MANIFEST = "manifest.json"
_EMPTY_PROFILE = {"nyc_taxi": {"target": "lake", "outputs": {"lake": {"type": "duckdb", "path": ":memory:"}}}}
# These fields differ between two parses of the same files.
_VOLATILE = {
    "generated_at": "1970-01-01T00:00:00Z",
    "invocation_started_at": None,
    "invocation_id": None,
    "run_started_at": None,
    "user_id": None,
    "created_at": 0,
}


def prepare_image(settings: Settings) -> None:
    """Parse the project, read its column lineage and link DuckDB's extensions.

    Args:
        settings: The project's folder and the folders to write to. Addresses and credentials are neither used nor
            kept.

    Raises:
        ProjectError: The project does not parse or compile, or an extension's package is not installed.
    """
    settings.export()
    _parse(settings)
    _normalize_manifest(settings.dbt_prepared_path / MANIFEST)
    lineage = read_lineage(_compile(settings))
    (settings.dbt_prepared_path / COLUMN_LINEAGE).write_text(json.dumps(lineage), encoding="utf-8")
    link_extensions(settings.duckdb_extension_directory)


def _parse(settings: Settings) -> None:
    result = dbtRunner().invoke(
        [
            "parse",
            "--project-dir", str(settings.dbt_project_dir),
            "--profiles-dir", str(settings.dbt_profiles_dir),
            "--target-path", str(settings.dbt_prepared_path),
            "--log-level-file", "none",
            "--no-use-colors",
            "--no-partial-parse",
            # Fails the image's build on a deprecated setting, before dbt removes the setting.
            "--warn-error",
        ]
    )  # fmt: skip
    _require_success(result, settings, "parse")
    file = settings.dbt_prepared_path / PARSED_MANIFEST
    if not file.is_file():
        raise ProjectError(f"dbt parsed the project but did not write {file}. Check dbt's setting for partial parsing.")


def _compile(settings: Settings) -> dict[str, Any]:
    """Return the manifest with the models' compiled SQL, for every month."""
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        scratch = Path(folder)
        # Compiling connects to the database, and the catalog that the project's profile attaches is not running here.
        (scratch / "profiles.yml").write_text(json.dumps(_EMPTY_PROFILE), encoding="utf-8")
        manifest = load_manifest(settings.dbt_prepared_path / PARSED_MANIFEST)
        result = dbtRunner(manifest=manifest).invoke(
            [
                "compile",
                "--project-dir", str(settings.dbt_project_dir),
                "--profiles-dir", str(scratch),
                "--target-path", str(scratch / "target"),
                "--log-level-file", "none",
                "--no-use-colors",
                "--quiet",
                "--no-introspect",
                "--select", "resource_type:model",
            ]
        )  # fmt: skip
        _require_success(result, settings, "compile")
        compiled: dict[str, Any] = json.loads((scratch / "target" / MANIFEST).read_bytes())
        return compiled


def _require_success(result: dbtRunnerResult, settings: Settings, action: str) -> None:
    if not result.success or result.exception is not None:
        raise ProjectError(
            f"The dbt project in {settings.dbt_project_dir} does not {action}: {result.exception}. "
            "Fix it and build the image again."
        ) from result.exception


def _normalize_manifest(file: Path) -> None:
    """Replace times and random ids in the manifest, so that equal projects have equal manifests."""
    text = json.dumps(_normalize(json.loads(file.read_bytes())), sort_keys=True, separators=(",", ":")) + "\n"
    file.write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    file.with_name(f"{MANIFEST}.sha256").write_text(f"{digest}  {MANIFEST}\n", encoding="utf-8")


def _normalize(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _VOLATILE[key] if key in _VOLATILE else _normalize(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    return value


def link_extensions(directory: Path) -> None:
    """Link the extensions from their Python packages into the folder where DuckDB looks for them.

    Args:
        directory: DuckDB's ``extension_directory``.

    Raises:
        ProjectError: A package is not installed, or belongs to another version of DuckDB.
    """
    version = f"v{duckdb.__version__}"
    with duckdb.connect() as connection:
        row = connection.execute("pragma platform").fetchone()
    folder = directory / version / str(row[0] if row else "")
    folder.mkdir(parents=True, exist_ok=True)
    for name in EXTENSIONS:
        package = importlib.util.find_spec(f"duckdb_extension_{name}")
        root = Path(package.origin).parent if package and package.origin else Path("absent")
        source = root / "extensions" / version / f"{name}.duckdb_extension"
        if not source.is_file():
            raise ProjectError(
                f"DuckDB's extension {name} for {version} is not installed: expected {source}. Pin the package "
                f"duckdb-extension-{name} to DuckDB's version."
            )
        link = folder / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
