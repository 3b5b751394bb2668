"""The files of ``sql/flink``, strictly rendered and split into statements."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from flink_submit.errors import SqlFileError

DEFAULT_DIRECTORY = Path("/app/sql/flink")
DIRECTORY_VARIABLE = "FLINK_SQL_DIR"

# Quoted text, names and hints stay whole; a line comment is dropped; a semicolon ends a statement.
_PIECE = re.compile(r"'(?:[^']|'')*'|`[^`]*`|/\*.*?\*/|--[^\n]*|;|[^'`/;-]+|.", re.DOTALL)
_SET_BEGINS = re.compile(r"EXECUTE\s+STATEMENT\s+SET\s+BEGIN\b", re.IGNORECASE)
_SET_ENDS = re.compile(r"(?:^|;)\s*END$", re.IGNORECASE)
# Characters that could end the quotes around a placeholder.
_UNSAFE = re.compile(r"['\x00-\x1f]|\*/")


def read_statements(name: str, values: Mapping[str, str], directory: Path | None = None) -> list[str]:
    """Render one file of ``sql/flink``.

    Args:
        name: File name, such as ``catalog.sql``.
        values: The text for each ``${placeholder}`` of the file, no more and no fewer.
        directory: Folder of the files; by default that in ``FLINK_SQL_DIR``, or the image's.

    Returns:
        The statements in order, without comments and closing semicolons; a statement set is one statement.

    Raises:
        SqlFileError: The file is missing, a placeholder has no value, a value has no placeholder, or a value contains
            a quote or a control character.
    """
    path = (directory or _default_directory()) / name
    try:
        template = Template(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SqlFileError(
            f"{path} cannot be read ({error.strerror}). Build the image from the repository's root."
        ) from error
    _check_values(path, template, values)
    return split_statements(template.substitute(values))


def list_files(pattern: str, directory: Path | None = None) -> list[str]:
    """Return the names of the files of ``sql/flink`` that fit a glob pattern, as ``read_statements`` takes them."""
    root = directory or _default_directory()
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern))


def split_statements(sql: str) -> list[str]:
    """Split SQL text at its semicolons, except within quotes, comments and ``EXECUTE STATEMENT SET BEGIN … END``."""
    statements: list[str] = []
    current = ""
    for piece in _PIECE.findall(sql):
        if piece.startswith("--"):
            continue
        if piece == ";" and _is_complete(current):
            statements.append(current.strip())
            current = ""
        else:
            current += piece
    if current.strip():
        raise SqlFileError(
            f"SQL text ends within a statement, after: {' '.join(current.split())[-80:]!r}. Close it with ';'."
        )
    return [statement for statement in statements if statement]


def _default_directory() -> Path:
    return Path(os.environ.get(DIRECTORY_VARIABLE, DEFAULT_DIRECTORY))


def _is_complete(statement: str) -> bool:
    if not _SET_BEGINS.match(statement.lstrip()):
        return True
    return _SET_ENDS.search(statement.rstrip()) is not None


def _check_values(path: Path, template: Template, values: Mapping[str, str]) -> None:
    if not template.is_valid():
        raise SqlFileError(
            f"{path} contains a '$' that is not a placeholder. Write ${{name}} for a placeholder and $$ for a dollar."
        )
    expected, given = set(template.get_identifiers()), set(values)
    if expected != given:
        raise SqlFileError(
            f"{path} and the step disagree on its placeholders: without a value {sorted(expected - given)}, "
            f"without a placeholder {sorted(given - expected)}. Change the file or the step."
        )
    unsafe = sorted(name for name, value in values.items() if _UNSAFE.search(value))
    if unsafe:
        raise SqlFileError(
            f"The values of {unsafe} contain a quote, a control character or '*/', which {path} cannot take. "
            "Correct the environment variable or extra that they come from."
        )
