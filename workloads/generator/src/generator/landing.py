"""The landing zone: the folder of the object store that holds the TLC's monthly files."""

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from generator.errors import (
    LandedFileChangedError,
    LandedFileCorruptError,
    LandingAccessError,
    LandingError,
    LandingUnreachableError,
)
from generator.month import Month
from generator.month_files import choose_file

PART_BYTES: Final = 16 * 2**20
"""Size of one request: small enough that Python handles signals in between, and that none is long."""

REQUEST_TIMEOUT: Final = timedelta(seconds=60)
CONNECT_TIMEOUT: Final = timedelta(seconds=5)
RETRIES: Final = 2
RETRY_TIMEOUT: Final = timedelta(seconds=10)

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CAUSE: Final = re.compile(r'(?:message: |error: )"([^"]+)"')
_ODD_NAME: Final = "object with invalid path"
_REFUSED: Final = {"401", "403", "404"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LandedObject:
    """A month's file in the landing zone.

    Args:
        name: The file's name.
        size_bytes: Its size.
        e_tag: What the object store calls its content.
    """

    name: str
    size_bytes: int
    e_tag: str | None


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A copy of a month's file.

    Args:
        name: The file's name.
        path: The copy.
        where: How errors name the file: its address, and where it came from.
    """

    name: str
    path: Path
    where: str


class LandingZone:
    """The landing zone.

    Args:
        url: Its address, ``s3://bucket/folder/``.
        endpoint: Address of the object store, ``http://host:port``.
        region: Its region.
        access_key_id: A key that may list and read the landing zone.
        secret_access_key: The key's secret.
    """

    def __init__(self, url: str, *, endpoint: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        self.url = url
        self._endpoint = endpoint
        address = urlsplit(url)
        self._store = S3Store(
            address.netloc,
            prefix=address.path.strip("/") or None,
            endpoint=endpoint,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": CONNECT_TIMEOUT,
                "timeout": REQUEST_TIMEOUT,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT},
        )

    def find(self, month: Month) -> LandedObject | None:
        """Look for a month's file.

        Args:
            month: The month.

        Returns:
            The file; None if the month has none.

        Raises:
            TripFileError: A name resembles that of the month's file, but is none.
            LandingError: The landing zone cannot be listed.
        """
        landed, note = self._look(month)
        if note:
            _log.info("%s", note)
        return landed

    def confirm(self, month: Month, sent: LandedObject | None) -> None:
        """Check that the landing zone still has the file that was found, or still has none.

        Args:
            month: The month.
            sent: What ``find`` returned.

        Raises:
            LandedFileChangedError: Another file of the month landed since, or the file vanished.
            TripFileError: A name resembles that of the month's file, but is none.
            LandingError: The landing zone cannot be listed.
        """
        now, _ = self._look(month)
        if _identity(now) == _identity(sent):
            return
        raise LandedFileChangedError(
            f"while {month} was sent, the landing zone got another file of it"
            if now
            else f"the file of {month} vanished from the landing zone while it was sent",
            expected=_identity(sent),
            got=_identity(now),
            where=self.url,
            todo="materialize again, which sends what the landing zone has now; nothing of this version is valid"
            if now
            else "land the month's file with `make land DATA=folder`; then materialize again",
        )

    def _look(self, month: Month) -> tuple[LandedObject | None, str]:
        """Return the month's file, and what to log about its choice."""
        try:
            found = {meta["path"]: meta for page in obstore.list(self._store) for meta in page}
        except (BaseError, OSError) as error:
            raise self._failed(f"the landing zone {self.url} cannot be listed", error) from error
        choice = choose_file({name: meta["last_modified"] for name, meta in found.items()}, month, self.url)
        if choice is None:
            return None, ""
        meta = found[choice.name]
        return LandedObject(choice.name, meta["size"], meta["e_tag"]), choice.note

    def download(self, landed: LandedObject, folder: Path) -> DownloadedFile:
        """Copy a file, and check that the copy is what was uploaded.

        Args:
            landed: The file.
            folder: An existing folder for the copy.

        Returns:
            The copy.

        Raises:
            LandedFileChangedError: The file vanished or changed since it was found.
            LandedFileCorruptError: The content is not what was uploaded.
            LandingError: The file cannot be read, or the copy cannot be written.
        """
        path = folder / landed.name
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                parts = self._parts(landed)
                attributes, content = next(parts)
                while content:
                    digest.update(content)
                    file.write(content)
                    _, content = next(parts, (None, b""))
        except OSError as error:
            raise LandingError(
                f"the copy of {self.url}{landed.name} cannot be written",
                expected=f"space for {landed.size_bytes} bytes",
                got=error.strerror or str(error),
                where=str(folder),
                todo="free disk space of the container engine; then materialize again",
            ) from error
        where = self._describe(landed.name, attributes.get("origin"))
        self._verify(where, digest.hexdigest(), attributes.get("sha256"))
        return DownloadedFile(landed.name, path, where)

    def _parts(self, landed: LandedObject) -> Iterator[tuple[dict[str, str], bytes]]:
        """Yield the object's metadata and content, at least one part; all of the same version."""
        for start in range(0, max(landed.size_bytes, 1), PART_BYTES):
            options: obstore.GetOptions = {"if_match": landed.e_tag}
            if landed.size_bytes:
                options["range"] = (start, min(start + PART_BYTES, landed.size_bytes))
            try:
                result = obstore.get(self._store, landed.name, options=options)
                part = {str(name): value for name, value in result.attributes.items()}, bytes(result.bytes())
            except (PreconditionError, FileNotFoundError) as error:
                gone = isinstance(error, FileNotFoundError)
                raise LandedFileChangedError(
                    f"{self.url}{landed.name} {'vanished' if gone else 'changed'} before it was downloaded whole",
                    expected=f"the object with the ETag {landed.e_tag}",
                    got="no object" if gone else "another one",
                    where=f"object store {self._endpoint}",
                    todo="look at who lands files there; when it is done, materialize again",
                ) from error
            except (BaseError, OSError) as error:
                raise self._failed(f"{self.url}{landed.name} cannot be read", error) from error
            yield part

    def _verify(self, where: str, found: str, uploaded: str | None) -> None:
        if uploaded is None:
            _log.warning("%s has no SHA-256 to compare its content with: `make land` did not upload it", where)
        elif uploaded.lower() != found:
            raise LandedFileCorruptError(
                "the file is not what was uploaded",
                expected=f"SHA-256 {uploaded}",
                got=found,
                where=where,
                todo="delete the object and land the file again with `make land`",
            )

    def _describe(self, name: str, origin: str | None) -> str:
        address = f"{self.url}{name}"
        return f"{address}, landed from {unquote(origin)}" if origin else address

    def _failed(self, what: str, error: Exception) -> LandingError:
        text = str(error)
        # The first line says which request failed, then how; the rest is a dump, which may have the cause.
        summary = text.partition("\n")[0].rpartition(" - ")[2]
        where = f"object store {self._endpoint}"
        if _ODD_NAME in text:
            return LandingError(
                f"{what}, because an object in it has a name that the step's client cannot read",
                expected="names without control characters, empty parts, or dots as a folder",
                got=repr(summary),
                where=where,
                todo="remove that object, for example in the object store's console; then materialize again",
            )
        status = _STATUS.search(text)
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or (status and status[1] in _REFUSED):
            return LandingAccessError(
                what,
                expected="a bucket that the landing zone's credentials may list and read",
                got=summary,
                where=where,
                todo="run `make up`, which creates the bucket and its reader, and check LANDING_URL and the secrets "
                "landing_access_key_id and landing_secret_access_key; then materialize again",
            )
        causes = _CAUSE.findall(text)
        return LandingUnreachableError(
            what,
            expected="an answer of the object store",
            got=": ".join((summary, *causes[-1:])),
            where=where,
            todo="look at the object store's container and its logs (service minio of the compose stack) and check "
            "S3_ENDPOINT; then materialize again",
        )


def _identity(landed: LandedObject | None) -> str:
    """Return what tells a month's file from another one. The same content that landed once more is no other file."""
    return "no file" if landed is None else f"{landed.name} with the ETag {landed.e_tag}"
