"""The dbt project, as parsed by the image's build."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dbt.artifacts.resources.types import NodeType
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ManifestNode, SeedNode, SingularTestNode, UnitTestDefinition

from dbt_runner.errors import ProjectError, RequestError
from dbt_runner.outcome import Kind

PARSED_MANIFEST = "partial_parse.msgpack"
COLUMN_LINEAGE = "column_lineage.json"
_ASSET_TYPES = (NodeType.Seed, NodeType.Model)

Node = ManifestNode | UnitTestDefinition
Lineage = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


class Project:
    """The nodes of the parsed project.

    Args:
        manifest: dbt's parsed manifest; a build with it does not parse again.
        lineage: The columns that each column of each model is made from, as ``prepare_image`` read them from the SQL.
    """

    def __init__(self, manifest: Manifest, lineage: Lineage) -> None:
        self.manifest = manifest
        self._lineage = lineage

    def column_lineage(self, unique_id: str) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the columns that each column of a model is made from; empty for a seed.

        Args:
            unique_id: dbt's unique id of the model or seed.

        Returns:
            By the model's columns, the unique ids and columns of the seeds, models and sources that it reads.
        """
        return self._lineage.get(unique_id, {})

    def node(self, unique_id: str) -> Node | None:
        """Return a seed, model or test by its unique id; None if the project has no such node."""
        return self.manifest.nodes.get(unique_id) or self.manifest.unit_tests.get(unique_id)

    def assets(self) -> list[str]:
        """List dbt's unique ids of all seeds and models, sorted."""
        return sorted(name for name, node in self.manifest.nodes.items() if node.resource_type in _ASSET_TYPES)

    def tested_node(self, unique_id: str) -> str | None:
        """Return the seed, model or source that a test tests.

        A generic test and a unit test test the node that they are written under. A singular test names its node in
        ``config.meta.dagster.ref.name``; if it names none, it tests its first parent.

        Args:
            unique_id: dbt's unique id of the test.

        Returns:
            dbt's unique id of the tested node; None if the node is not a test.
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
        """Turn unique ids into arguments for dbt.

        If a test is among them, exactly the listed nodes run. If not, the listed seeds and models run together with
        those of their tests that read only them and their ancestors.

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
                f"The image's dbt project has no node {', '.join(unknown)}; the host's manifest belongs to another "
                "image. Reload the code location, so that it reads the manifest of the image that it starts."
            )
        exact = any(node is not None and node.resource_type not in _ASSET_TYPES for node in nodes.values())
        return [
            "--indirect-selection",
            "empty" if exact else "buildable",
            "--select",
            *(f"fqn:{'.'.join(node.fqn)}" for node in nodes.values() if node is not None),
        ]

    def require_asset_keys(self, unique_ids: Sequence[str], keyed: Iterable[str]) -> None:
        """Raise if a seed or model of a build has no asset to be reported as.

        Args:
            unique_ids: The nodes to build; empty means all.
            keyed: The nodes that have an asset key in this step.

        Raises:
            RequestError: Some seeds or models have no asset key.
        """
        known = set(keyed)
        wanted = [name for name in unique_ids if getattr(self.node(name), "resource_type", None) in _ASSET_TYPES]
        missing = [name for name in (wanted if unique_ids else self.assets()) if name not in known]
        if missing:
            raise RequestError(
                f"The step builds dbt nodes for which it has no asset: {', '.join(missing)}. Expected the extras' "
                "asset_keys to map each to an asset of the step. Select fewer nodes, or declare the missing assets."
            )


def describe_kind(node: Node) -> Kind:
    """Return a node's kind, as in its outcome."""
    kinds: dict[NodeType, Kind] = {
        NodeType.Seed: "seed",
        NodeType.Model: "model",
        NodeType.Test: "test",
        NodeType.Unit: "unit_test",
    }
    return kinds[node.resource_type]


def relation_name(node: Node) -> str:
    """Return the quoted name of the table or view that a node creates; empty if it creates none."""
    return ("" if isinstance(node, UnitTestDefinition) else node.relation_name) or ""


def describe_columns(node: Node) -> dict[str, str]:
    """Return the descriptions of a node's columns by lower-case name."""
    columns = {} if isinstance(node, UnitTestDefinition) else node.columns
    return {name.lower(): column.description for name, column in columns.items()}


def is_month_scoped(node: Node) -> bool:
    """Return whether ``config.meta.scope`` limits a model's rows to the month being built."""
    return not isinstance(node, SeedNode) and (node.config.meta or {}).get("scope") == "month"


def keeps_numbers(node: Node) -> bool:
    """Return whether ``config.meta.keep_numbers`` makes a test keep the numbers that it compared."""
    return not isinstance(node, UnitTestDefinition) and bool((node.config.meta or {}).get("keep_numbers"))


def load_project(folder: Path) -> Project:
    """Read the project that the image's build parsed.

    Args:
        folder: The folder that the image's build wrote it to.

    Returns:
        The project.

    Raises:
        ProjectError: The parsed project is missing, or was written by another version of dbt.
    """
    manifest, file = load_manifest(folder / PARSED_MANIFEST), folder / COLUMN_LINEAGE
    try:
        return Project(manifest, json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def load_manifest(file: Path) -> Manifest:
    """Read dbt's parsed manifest.

    Args:
        file: The file that dbt wrote.

    Returns:
        The manifest.

    Raises:
        ProjectError: The file is missing, or was written by another version of dbt.
    """
    try:
        return Manifest.from_msgpack(file.read_bytes())
    except Exception as error:  # mashumaro raises an error of any type, depending on the first field that does not fit
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ProjectError:
    return ProjectError(
        f"The parsed dbt project {file} cannot be read ({type(error).__name__}: {error}). Expected the file that "
        "'dbt_runner prepare_image' writes when the image is built, with the same version of dbt. Build the image "
        "again."
    )
