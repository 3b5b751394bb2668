"""The landing zone's errors; the text of each is shown as it is.

LandingError
├── FolderError        the folder cannot be read, or has no month's file
├── RefusedFileError   one file cannot land; the others can
│   └── OvertakenError    another landing has put a file of its name there meanwhile
└── ZoneError          the object store does not answer, or refuses
"""


class LandingError(Exception):
    """Files cannot land, or the landing zone cannot be read."""


class FolderError(LandingError):
    """The folder cannot be read, or has no month's file."""


class RefusedFileError(LandingError):
    """One file cannot land; the others can."""


class OvertakenError(RefusedFileError):
    """Another landing has put a file of the same name there meanwhile."""


class ZoneError(LandingError):
    """The object store does not answer, or refuses a request."""
