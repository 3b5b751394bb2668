"""``drayage new``: a workload's folder from a template of its language, and its entry in the Dagster project."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drayage.errors import SettingsError

_TEMPLATES = Path(__file__).with_name("templates")
_ENTRY = "defs.yaml"
# Whole words of the templates.
_NAME = "WORKLOAD_NAME"
_FOLDER = "BUILD_FOLDER"
_NAME_FORM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

LANGUAGES = tuple(sorted(folder.name for folder in _TEMPLATES.iterdir() if folder.is_dir()))


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        folder: The workload.
        entry: Its declaration on the host.
    """

    folder: Path
    entry: Path


def write_workload(name: str, *, language: str, workloads: Path, project: Path) -> Written:
    """Write a workload that builds, passes its tests and materializes as it is.

    Args:
        name: Of folder, image and asset: lower case, digits and underscores.
        language: One of ``LANGUAGES``.
        workloads: Where its folder goes; made if it is not there.
        project: A folder of Dagster's ``dg``, with its ``pyproject.toml`` or ``dg.toml``.

    Raises:
        SettingsError: A name is malformed or taken, or the project has no place for definitions. Nothing was written.
    """
    if not _NAME_FORM.fullmatch(name):
        raise SettingsError(
            f"{name!r} cannot be the name of folder, image and asset alike: expected lower-case letters, digits and "
            "underscores, such as clean_trips. Nothing was written."
        )
    if language not in LANGUAGES:
        raise SettingsError(f"There is no template for {language!r}: expected {', '.join(LANGUAGES)}.")
    folder, entry = workloads / name, _definitions_folder(project) / name / _ENTRY
    for taken in (folder, entry.parent):
        if taken.exists():
            raise SettingsError(f"{taken} is there already: choose another name, or remove it. Nothing was written.")
    words = {_NAME: name, _FOLDER: os.path.relpath(folder, entry.parent)}
    # Read as a whole before anything is written.
    for inside, text in _read_template(language, words).items():
        _write(entry if inside == Path(_ENTRY) else folder / inside, text)
    return Written(folder, entry)


def find_project(start: Path) -> Path:
    """Find the Dagster project of a folder: the nearest one above, else the only one just below.

    Args:
        start: Where to look.

    Raises:
        SettingsError: There is none, or several lie below.
    """
    for folder in (start, *start.parents):
        if _dg_settings(folder) is not None:
            return folder
    below = [folder for folder in sorted(start.iterdir()) if folder.is_dir() and _dg_settings(folder) is not None]
    if len(below) != 1:
        found = f"several: {', '.join(map(str, below))}" if below else "none"
        raise SettingsError(
            f"A Dagster project (a pyproject.toml with [tool.dg.project], or a dg.toml) was looked for in {start}, "
            f"above it and just below it, and there is {found}. Name it: --project FOLDER. Nothing was written."
        )
    return below[0]


def _read_template(language: str, words: dict[str, str]) -> dict[Path, str]:
    """A template's files by their paths, with the words filled in."""
    template, texts = _TEMPLATES / language, {}
    for source in sorted(template.rglob("*")):
        # What Python compiled beside a template belongs to this machine.
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        try:
            text = source.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            # The writers are links into the repository, which a bare copy of this folder leaves behind.
            raise SettingsError(
                f"{source} leads nowhere, so the template of {language} is not whole here: install drayage with pip "
                "from its repository or a wheel. Nothing was written."
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
    """What ``dg`` is told of a project; None if the folder is none."""
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
        raise SettingsError(f"{project} is no Dagster project: its pyproject.toml has no [tool.dg.project].")
    module = settings.get("defs_module") or f"{settings.get('root_module')}.defs"
    inside = Path(*str(module).split("."))
    for folder in (project / "src" / inside, project / inside):
        if folder.is_dir():
            return folder
    raise SettingsError(
        f"{project / 'src' / inside} is not there, where {module} would hold definitions: make the folder, and load it "
        "by dagster.load_from_defs_folder. Nothing was written."
    )
