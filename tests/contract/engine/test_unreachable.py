"""An engine that does not answer is distinguished from one that refuses: a step waits for the former to return."""

from collections.abc import Callable

import pytest
from engine_bench import Bench

from drayage.engine import START, ContainerSpec, Engine
from drayage.errors import EngineUnavailableError

CALLS: dict[str, Callable[[Engine], object]] = {
    "resolve": lambda engine: engine.resolve("image", pull="never"),
    "login": lambda engine: engine.login(url="registry.test", username="a", password="b"),  # noqa: S106 - made up
    "create": lambda engine: engine.create(ContainerSpec("image")),
    "start": lambda engine: engine.start("container"),
    "follow": lambda engine: engine.follow("container"),
    "follow from start": lambda engine: engine.follow("container", START),
    "await_end": lambda engine: engine.await_end("container", 1),
    "state": lambda engine: engine.state("container"),
    "usage": lambda engine: engine.usage("container"),
    "stop": lambda engine: engine.stop("container", "SIGTERM", 0),
    "remove": lambda engine: engine.remove("container"),
    "find": lambda engine: engine.find({"a": "b"}),
    "read_file": lambda engine: engine.read_file("image", "/file"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_engine_that_does_not_answer_is_unavailable(bench: Bench, call: Callable[[Engine], object]) -> None:
    engine = bench.rig.unreachable()
    with pytest.raises(EngineUnavailableError):
        call(engine)


def test_every_method_of_an_engine_is_called_here() -> None:
    """``mailbox`` and ``explain`` may do without the engine; so may ``finish_start``, where it is always False."""
    asked = {name for name in vars(Engine) if not name.startswith("_")}
    assert asked - {"mailbox", "explain", "finish_start"} == {name.partition(" ")[0] for name in CALLS}
