"""Defines one promise as a step's record keeps it; ``verdict/promises.py`` creates and checks promises."""

import pydantic


class Promise(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A metadata entry that a materialization must carry.

    Args:
        types: The Pipes metadata types that the value may have; empty allows any.
        required: Whether the entry must be present; an optional one is only checked for its type.
        unit: What the number counts, for people.
        description: What the entry means, for people.
    """

    types: tuple[str, ...] = ()
    required: bool = True
    unit: str | None = None
    description: str | None = None
