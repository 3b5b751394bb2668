"""An engine that does not answer is distinguished from one that refuses: a step waits for the former to return."""

from collections.abc import Callable

import pytest
from engine_bench import Bench

from drayage.engine import ContainerSpec, Engine
from drayage.errors import EngineUnavailableError

CALLS: dict[str, Callable[[Engine], object]] = {
    "image_id": lambda engine: engine.image_id("image", pull="never"),
    "login": lambda engine: engine.login(url="registry.test", username="a", password="b"),  # noqa: S106 - made up
    "create": lambda engine: engine.create(ContainerSpec("image")),
    "start": lambda engine: engine.start("container"),
    "output": lambda engine: engine.output("container", from_start=False),
    "wait": lambda engine: engine.wait("container"),
    "state": lambda engine: engine.state("container"),
    "usage": lambda engine: engine.usage("container"),
    "signal": lambda engine: engine.signal("container", "SIGTERM"),
    "remove": lambda engine: engine.remove("container"),
    "find": lambda engine: engine.find({"a": "b"}),
    "create_memory_volume": lambda engine: engine.create_memory_volume("volume", size_bytes=1, labels={}),
    "fill_memory_volume": lambda engine: engine.fill_memory_volume("v", files={}, probe_id="c", target="/secrets"),
    "remove_volume": lambda engine: engine.remove_volume("volume"),
    "find_volumes": lambda engine: engine.find_volumes({"a": "b"}),
    "read_file": lambda engine: engine.read_file("image", "/file"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_engine_that_does_not_answer_is_unavailable(bench: Bench, call: Callable[[Engine], object]) -> None:
    engine = bench.rig.unreachable()
    with pytest.raises(EngineUnavailableError):
        call(engine)


def test_every_method_of_an_engine_is_called_here() -> None:
    """Only ``host_path`` may do without the engine."""
    asked = {name for name in vars(Engine) if not name.startswith("_")}
    assert asked - {"host_path"} == set(CALLS)
