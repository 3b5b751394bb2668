"""The dbt project as the image's build parsed it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dbt.artifacts.resources.types import NodeType
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ManifestNode, SeedNode, SingularTestNode, UnitTestDefinition

from dbt_runner.errors import ProjectError, RequestError
from dbt_runner.outcome import Kind

BAKED_MANIFEST = "partial_parse.msgpack"
BAKED_LINEAGE = "column_lineage.json"
_ASSET_TYPES = (NodeType.Seed, NodeType.Model)

Node = ManifestNode | UnitTestDefinition
Lineage = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


class Project:
    """The nodes of the parsed project.

    Args:
        manifest: What dbt parsed; a build with it parses nothing again.
        lineage: As ``bake`` read it from the SQL: for each model and column the columns that it is made from.
    """

    def __init__(self, manifest: Manifest, lineage: Lineage) -> None:
        self.manifest = manifest
        self._lineage = lineage

    def column_lineage(self, unique_id: str) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Tell what each column of a model is made from; nothing of a seed.

        Returns:
            Unique ids and columns of the seeds, models and sources that the model reads, by its own columns.
        """
        return self._lineage.get(unique_id, {})

    def node(self, unique_id: str) -> Node | None:
        """Look a seed, model or test up; None if the project has no such node."""
        return self.manifest.nodes.get(unique_id) or self.manifest.unit_tests.get(unique_id)

    def assets(self) -> list[str]:
        """List dbt's unique ids of all seeds and models, sorted."""
        return sorted(name for name, node in self.manifest.nodes.items() if node.resource_type in _ASSET_TYPES)

    def tested_node(self, unique_id: str) -> str | None:
        """Tell which seed, model or source a test is about.

        A generic test and a unit test are about the node they are written under. A singular test names its node in
        ``config.meta.dagster.ref.name``, else it is about its first parent.

        Args:
            unique_id: dbt's name of the test.

        Returns:
            dbt's name of the tested node; None for what is no test.
        """
        node = self.node(unique_id)
        if isinstance(node, UnitTestDefinition):
            return next(iter(node.depends_on.nodes), None)
        if node is None or node.resource_type is not NodeType.Test:
            return None
        attached = getattr(node, "attached_node", None)
        if attached:
            return str(attached)
        parents = list(node.depends_on.nodes) if isinstance(node, SingularTestNode) else []
        named = (node.config.meta or {}).get("dagster", {}).get("ref", {}).get("name")
        candidates = [parent for parent in parents if parent.rpartition(".")[2] == named] or parents
        return candidates[0] if candidates else None

    def selection(self, unique_ids: Sequence[str]) -> list[str]:
        """Turn unique ids into dbt's arguments.

        With a test among them exactly the listed nodes run; with none, the listed seeds and models bring those tests
        that touch nothing but them and what they are made from.

        Args:
            unique_ids: The nodes to build; empty means all.

        Returns:
            Arguments for ``dbt build``.

        Raises:
            RequestError: The project lacks some of them.
        """
        if not unique_ids:
            return []
        nodes = {unique_id: self.node(unique_id) for unique_id in unique_ids}
        unknown = sorted(unique_id for unique_id, node in nodes.items() if node is None)
        if unknown:
            raise RequestError(
                f"The image's dbt project has no node {', '.join(unknown)}; the host's manifest is another image's. "
                "Reload the code location, so that it reads the manifest of the image that it starts."
            )
        exact = any(node is not None and node.resource_type not in _ASSET_TYPES for node in nodes.values())
        return [
            "--indirect-selection",
            "empty" if exact else "buildable",
            "--select",
            *(f"fqn:{'.'.join(node.fqn)}" for node in nodes.values() if node is not None),
        ]

    def require_asset_keys(self, unique_ids: Sequence[str], keyed: Iterable[str]) -> None:
        """Make sure that every seed and model of a build can be reported.

        Args:
            unique_ids: The nodes to build; empty means all.
            keyed: The nodes that have an asset key in this step.

        Raises:
            RequestError: Some have none.
        """
        known = set(keyed)
        wanted = [name for name in unique_ids if getattr(self.node(name), "resource_type", None) in _ASSET_TYPES]
        missing = [name for name in (wanted if unique_ids else self.assets()) if name not in known]
        if missing:
            raise RequestError(
                f"The step builds dbt nodes for which it has no asset: {', '.join(missing)}. Expected the extras' "
                "asset_keys to give each one of the step's assets. Select fewer nodes, or declare the missing assets."
            )


def describe_kind(node: Node) -> Kind:
    """Tell what a node is, as the outcomes name it."""
    kinds: dict[NodeType, Kind] = {
        NodeType.Seed: "seed",
        NodeType.Model: "model",
        NodeType.Test: "test",
        NodeType.Unit: "unit_test",
    }
    return kinds[node.resource_type]


def relation_name(node: Node) -> str:
    """Give the quoted name of the table or view that a seed or model makes; empty for a test."""
    return ("" if isinstance(node, UnitTestDefinition) else node.relation_name) or ""


def describe_columns(node: Node) -> dict[str, str]:
    """Give the descriptions of a node's columns by lower-case name."""
    columns = {} if isinstance(node, UnitTestDefinition) else node.columns
    return {name.lower(): column.description for name, column in columns.items()}


def is_month_scoped(node: Node) -> bool:
    """Tell whether a model's rows are those of the month being built, by its ``config.meta.scope``."""
    return not isinstance(node, SeedNode) and (node.config.meta or {}).get("scope") == "month"


def is_receipt(node: Node) -> bool:
    """Tell whether a test keeps the numbers that it compared, by its ``config.meta.receipt``."""
    return not isinstance(node, UnitTestDefinition) and bool((node.config.meta or {}).get("receipt"))


def load_project(baked_path: Path) -> Project:
    """Read the project that the image's build parsed.

    Args:
        baked_path: The folder it was written to.

    Returns:
        The project.

    Raises:
        ProjectError: It is not there, or of another dbt version.
    """
    manifest, file = load_manifest(baked_path / BAKED_MANIFEST), baked_path / BAKED_LINEAGE
    try:
        return Project(manifest, json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def load_manifest(file: Path) -> Manifest:
    """Read what dbt parsed.

    Raises:
        ProjectError: It is not there, or of another dbt version.
    """
    try:
        return Manifest.from_msgpack(file.read_bytes())
    except Exception as error:  # mashumaro raises whatever the first misfit field causes
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ProjectError:
    return ProjectError(
        f"The parsed dbt project {file} cannot be read ({type(error).__name__}: {error}). Expected the file that "
        "'dbt_runner bake' writes when the image is built, with this very dbt. Build the image again."
    )
