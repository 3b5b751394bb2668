"""Writes a new workload from its language's template, and its entry in the Dagster project: ``drayage new``."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drayage.errors import SettingsError

_TEMPLATES = Path(__file__).with_name("templates")
_ENTRY = "defs.yaml"
# Placeholders in the templates.
_NAME = "WORKLOAD_NAME"
_FOLDER = "BUILD_FOLDER"
_NAME_FORM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

LANGUAGES = tuple(sorted(folder.name for folder in _TEMPLATES.iterdir() if folder.is_dir()))


@dataclass(frozen=True)
class Written:
    """The files of a new workload.

    Args:
        folder: Folder of the workload.
        entry: Its declaration on the host.
    """

    folder: Path
    entry: Path


def write_workload(name: str, *, language: str, workloads: Path, project: Path) -> Written:
    """Write a workload that builds, passes its tests and materializes without edits.

    Args:
        name: Name of the folder, the image and the asset: lower-case letters, digits and underscores.
        language: One of ``LANGUAGES``.
        workloads: Parent of the workload's folder; created if it does not exist.
        project: Folder of a ``dg`` project, with its ``pyproject.toml`` or ``dg.toml``.

    Returns:
        The paths that were written.

    Raises:
        SettingsError: The name is malformed or taken, there is no such template, or the project has no folder for
            definitions. Nothing was written.
    """
    if not _NAME_FORM.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of a folder, an image and an asset: expected lower-case letters, digits and "
            "underscores, such as clean_trips. Nothing was written."
        )
    if language not in LANGUAGES:
        raise SettingsError(f"There is no template for {language!r}: expected one of {', '.join(LANGUAGES)}.")
    folder, entry = workloads / name, _definitions_folder(project) / name / _ENTRY
    for taken in (folder, entry.parent):
        if taken.exists():
            raise SettingsError(f"{taken} already exists: choose another name, or remove it. Nothing was written.")
    words = {_NAME: name, _FOLDER: os.path.relpath(folder, entry.parent)}
    # The whole template is read before anything is written.
    for inside, text in _read_template(language, words).items():
        _write(entry if inside == Path(_ENTRY) else folder / inside, text)
    return Written(folder, entry)


def find_project(start: Path) -> Path:
    """Find the Dagster project of a folder: the folder itself, its nearest parent, or the only project just below it.

    Args:
        start: The folder.

    Returns:
        Folder of the project.

    Raises:
        SettingsError: There is no project, or there are several below.
    """
    for folder in (start, *start.parents):
        if _dg_settings(folder) is not None:
            return folder
    below = [folder for folder in sorted(start.iterdir()) if folder.is_dir() and _dg_settings(folder) is not None]
    if len(below) != 1:
        found = f"several: {', '.join(map(str, below))}" if below else "none"
        raise SettingsError(
            f"Expected one Dagster project (a pyproject.toml with [tool.dg.project], or a dg.toml) in {start}, above "
            f"it or just below it, found {found}. Name the project with --project FOLDER. Nothing was written."
        )
    return below[0]


def _read_template(language: str, words: dict[str, str]) -> dict[Path, str]:
    """Return a template's files by their paths, with the placeholders filled in."""
    template, texts = _TEMPLATES / language, {}
    for source in sorted(template.rglob("*")):
        # Skip bytecode that Python has compiled beside a template.
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        try:
            text = source.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            # The writers are symbolic links into the repository, and break if only this folder is copied.
            raise SettingsError(
                f"{source} is a broken link, so the template for {language} is incomplete here: install drayage with "
                "pip from its repository or a wheel. Nothing was written."
            ) from error
        for word, value in words.items():
            text = text.replace(word, value)
        texts[source.relative_to(template)] = text
    return texts


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    target.chmod(0o755 if text.startswith("#!") else 0o644)


def _dg_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a ``dg`` project; None if the folder is not one."""
    for name, keys in (("dg.toml", ()), ("pyproject.toml", ("tool", "dg"))):
        path = folder / name
        if path.is_file():
            try:
                settings: Any = tomllib.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise SettingsError(f"{path} cannot be read: {error}. Nothing was written.") from error
            for key in keys:
                settings = settings.get(key, {})
            if isinstance(settings.get("project"), dict):
                return dict(settings["project"])
    return None


def _definitions_folder(project: Path) -> Path:
    settings = _dg_settings(project)
    if settings is None:
        raise SettingsError(
            f"{project} is not a Dagster project: it has neither a pyproject.toml with [tool.dg.project] nor a dg.toml."
        )
    module = settings.get("defs_module") or f"{settings.get('root_module')}.defs"
    inside = Path(*str(module).split("."))
    for folder in (project / "src" / inside, project / inside):
        if folder.is_dir():
            return folder
    raise SettingsError(
        f"{project / 'src' / inside}, the folder for the definitions of {module}, does not exist: create it, and load "
        "it with dagster.load_from_defs_folder. Nothing was written."
    )
