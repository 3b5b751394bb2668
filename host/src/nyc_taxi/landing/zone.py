"""The objects of the landing zone.

Source: Amazon S3 API Reference, version 2006-03-01: ``ListObjectsV2``, ``HeadObject``, ``PutObject``; Amazon S3 User
Guide, "Conditional writes".
"""

import base64
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from nyc_taxi.landing.errors import OvertakenError, RefusedFileError, ZoneError
from nyc_taxi.landing.names import month_of, preference

LARGEST_OBJECT_BYTES = 5 * 1024**3
"""What S3 takes in one request. The TLC's largest files, csv of less than 3 GB, are well below."""

CHANGED = "it changed while it was read: wait until nothing writes to it, and land it again."

# What this user has set for another object store plays no part: profile, files.
_NOTHING_OF_THE_USERS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60
_CHANGED = frozenset({"BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
_OVERTAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})


@dataclass(frozen=True)
class Access:
    """Where the landing zone is, and by which keys it is read or written.

    Args:
        endpoint: The object store's address, such as ``http://127.0.0.1:9000``.
        region: Its S3 region.
        url: The landing zone, such as ``s3://landing/yellow/``.
        key_id: The access key.
        secret: The secret key.
    """

    endpoint: str
    region: str
    url: str
    key_id: str
    secret: str


@dataclass(frozen=True)
class LandedObject:
    """An object of the landing zone.

    Args:
        name: Its name below the landing zone.
        e_tag: What the object store calls the content.
        landed_at: When it was written, by the object store's clock.
    """

    name: str
    e_tag: str
    landed_at: datetime

    @property
    def version(self) -> str:
        """A text that differs whenever the object was written, also with a content that it had before."""
        return f"{self.e_tag.strip(chr(34))} of {self.landed_at.isoformat()}"


@dataclass(frozen=True)
class LandedFile:
    """What the landing zone has under a name.

    Args:
        e_tag: What the object store calls the content.
        sha256: The SHA-256 that it was landed with, 64 hexadecimal digits; None if it came there some other way.
        origin: Where it was landed from, percent-encoded; empty if it came there some other way.
    """

    e_tag: str
    sha256: str | None
    origin: str


def current_files(objects: Iterable[LandedObject]) -> dict[str, LandedObject]:
    """Return the file that a run of each month reads: the one that landed last.

    Args:
        objects: The objects of the landing zone.

    Returns:
        The files by month, in order; of those that landed at one moment, that of the preferred format.
    """
    files = [(month, each) for each in objects if (month := month_of(each.name))]
    files.sort(key=lambda file: (file[0], file[1].landed_at, -preference(file[1].name)))
    return dict(files)


class LandingZone:
    """The landing zone in the object store.

    Args:
        access: Where it is, and by which keys.
    """

    def __init__(self, access: Access) -> None:
        address = urlsplit(access.url)
        self.url = access.url
        self._endpoint = access.endpoint
        self._bucket, self._prefix = address.netloc, address.path.lstrip("/")
        session = Session(_NOTHING_OF_THE_USERS)
        self._client = session.create_client(
            "s3",
            region_name=access.region,
            endpoint_url=access.endpoint,
            aws_access_key_id=access.key_id,
            aws_secret_access_key=access.secret,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path"},
                # The SHA-256 that each upload carries is checked by the store; another checksum would cost a reading.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            ),
        )

    def objects(self) -> list[LandedObject]:
        """List the landing zone, folders in it included.

        Returns:
            Its objects, by name.

        Raises:
            ZoneError: The object store does not answer, or refuses.
        """
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            return [
                LandedObject(each["Key"].removeprefix(self._prefix), each["ETag"], each["LastModified"])
                for page in pages
                for each in page.get("Contents", ())
            ]

    def find(self, name: str) -> LandedFile | None:
        """Look for a file.

        Args:
            name: The object's name below the landing zone.

        Returns:
            What is there; None if nothing is.

        Raises:
            ZoneError: The object store does not answer, or refuses.
        """
        with self._explained():
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004 - not found
                    return None
                raise
        metadata = found["Metadata"]
        return LandedFile(found["ETag"], metadata.get("sha256"), metadata.get("origin", ""))

    def put(
        self,
        name: str,
        file: BinaryIO,
        *,
        size: int,
        sha256: str,
        origin: str,
        before: LandedFile | None,
        sending: Callable[[], None],
    ) -> str:
        """Put a file into the landing zone, in one request: the object is there as a whole, or not at all.

        Args:
            name: The object's name below the landing zone.
            file: The file; read twice, first for the request's signature.
            size: Its size in bytes.
            sha256: The SHA-256 of its content, in hexadecimal digits; the object store refuses any other content.
            origin: Where the file is, in ASCII.
            before: What ``find`` said: the object store replaces that and nothing else.
            sending: Called before the content is read to be sent, each time that it is.

        Returns:
            What the object store calls the content.

        Raises:
            OvertakenError: Something else has landed there since.
            RefusedFileError: The content is not the one that the SHA-256 is of.
            ZoneError: The object store does not answer, or refuses.
        """
        events, key = self._client.meta.events, f"landing-{name}"
        events.register("before-send.s3.PutObject", lambda **_: sending(), unique_id=key)
        try:
            with self._explained():
                done = self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + name,
                    Body=file,
                    ContentLength=size,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                    Metadata={"sha256": sha256, "origin": origin},
                    **({"IfNoneMatch": "*"} if before is None else {"IfMatch": before.e_tag}),
                )
        finally:
            events.unregister("before-send.s3.PutObject", unique_id=key)
        e_tag: str = done["ETag"]
        return e_tag

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise ZoneError, with what to do, for an error of the object store or of the connection to it."""
        try:
            yield
        except ClientError as error:
            code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            if code in _CHANGED:
                raise RefusedFileError(CHANGED) from error
            if code in _OVERTAKEN:
                raise OvertakenError(self.url) from error
            said = ", ".join(filter(None, (code, message.rstrip("."))))
            raise ZoneError(
                f"The object store at {self._endpoint} refuses {error.operation_name} in {self.url}: {said}. "
                f"{_REMEDIES.get(code, _OTHER_REMEDY)}"
            ) from error
        except BotoCoreError as error:
            raise ZoneError(
                f"The object store at {self._endpoint}, which has the landing zone {self.url}, does not answer "
                f"({error}). Start the services with 'make up', or see why in 'make logs SERVICE=minio'."
            ) from error


_OTHER_REMEDY = "The store's log may say more ('make logs SERVICE=minio')."
_KEYS = "'make up' sets the keys of this environment file; a store with other keys belongs to another stack."
_REMEDIES = {
    "403": _KEYS,
    "AccessDenied": _KEYS,
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "NoSuchBucket": "'make up' creates it.",
}
