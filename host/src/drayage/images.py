"""Reads files and ids from images, without running them."""

import hashlib
import os

from drayage.engine import Engine
from drayage.engines import default_engine
from drayage.settings import ClientSettings


def read_image_file(image: str, path: str, *, engine: Engine | None = None) -> bytes:
    """Read one file out of an image; later calls for the same image id read a copy under the exchange root.

    Args:
        image: Name or id of an image that is on the engine.
        path: Absolute path of a regular file in the image.
        engine: The engine; None takes the one that the environment names.

    Returns:
        The file's content.

    Raises:
        EngineError: The engine does not answer, or the image or the file does not exist.
    """
    engine = engine or default_engine()
    image_id = engine.resolve(image, pull="never")
    digest = hashlib.sha256(f"{image_id}\n{path}".encode()).hexdigest()
    copy = ClientSettings.load().exchange_root / "images" / digest
    if copy.is_file():
        return copy.read_bytes()
    content = engine.read_file(image_id, path)
    copy.parent.mkdir(parents=True, exist_ok=True)
    temporary = copy.with_name(f"{digest}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(copy)
    return content


def read_image_id(image: str, *, engine: Engine | None = None) -> str:
    """Return the id of an image that is on the engine; it serves as the code version of the image's content.

    Args:
        image: Name of the image.
        engine: The engine; None takes the one that the environment names.

    Raises:
        EngineError: The engine does not answer, or has no such image.
    """
    return (engine or default_engine()).resolve(image, pull="never")
