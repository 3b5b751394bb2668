"""One promise, as a step's record keeps it; ``promise_metadata`` makes and judges them."""

import pydantic


class Promise(pydantic.BaseModel, frozen=True, extra="forbid"):
    """One name that a materialization must carry.

    Args:
        types: Pipes metadata types of which the value must be one; empty allows any.
        required: Whether it must be there at all.
        unit: What the number counts, for people.
        description: What it means, for people.
    """

    types: tuple[str, ...] = ()
    required: bool = True
    unit: str | None = None
    description: str | None = None
