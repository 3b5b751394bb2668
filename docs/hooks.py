"""What the site needs beside MkDocs: generated parts of the reference, and proof that no page fetches anything."""
# ruff: noqa: INP001 - a file that MkDocs loads, not a package

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError

import drayage

REFERENCE = Path(__file__).parent / "reference"
# What a browser loads by itself, as opposed to a link that a reader may follow.
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Append what is generated to the two pages of the reference that have such a part."""
    if page.file.src_uri == "reference/cli.md":
        command = [sys.executable, "-m", "typer", "drayage.cli.app", "utils", "docs", "--name", "drayage"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
        # The page has a title of its own, and beside it a list of the commands, whose texts are cut in this one.
        return markdown + re.sub(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+", "", printed.partition("\n")[2])
    if page.file.src_uri == "reference/python.md" and (names := undocumented_names()):
        return markdown + "\n## More\n" + "".join(f"\n::: drayage.{name}\n" for name in names)
    return markdown


def undocumented_names() -> list[str]:
    """Return the public names that no page of the reference has in a place of its own."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    documented = set(re.findall(r"^::: drayage\.(?:\w+\.)*(\w+)$", pages, re.MULTILINE))
    return [name for name in drayage.__all__ if name not in documented]


class Docstrings(griffe.Extension):
    """Completes what is read out of the sources: fields of pydantic models, and references in docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Show a reference such as :class:`Mount` as code, which Markdown does not know."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r":\w+:`([^`]+)`", r"`\1`", obj.docstring.value)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Give a model the constructor that pydantic makes for it at run time."""
        if not any(str(base) in {"pydantic.BaseModel", "dg.Model"} for base in cls.bases):
            return
        fields = [
            griffe.Parameter(
                attribute.name,
                annotation=attribute.annotation,
                kind=griffe.ParameterKind.keyword_only,
                default=attribute.value,
            )
            for attribute in cls.attributes.values()
            if attribute.annotation is not None
        ]
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*fields)))


def on_post_build(*, config: Any, **_: Any) -> None:
    """Fail where a page or a style sheet would make a browser load something from elsewhere."""
    site = Path(config.site_dir)
    remote = [f"{page.relative_to(site)}: {url}" for page in sorted(site.rglob("*.html")) for url in fetched_by(page)]
    for sheet in sorted(site.rglob("*.css")):
        urls = re.findall(r"""(?:url\(|@import )["']?((?:https?:)?//[^"')]+)""", sheet.read_text(encoding="utf-8"))
        remote += [f"{sheet.relative_to(site)}: {url}" for url in urls]
    if remote:
        raise PluginError(f"Pages must be readable without a network, and these load: {'; '.join(remote)}")


def fetched_by(page: Path) -> list[str]:
    """Return the addresses on other hosts that a browser would load for a page."""
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader.remote


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.remote: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(FETCHED.get(tag, ""))
        if address and address.startswith(("http:", "https:", "//")) and dict(attrs).get("rel") != "canonical":
            self.remote.append(address)
