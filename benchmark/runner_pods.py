"""Times the runner on the Kubernetes cluster that KUBECONFIG names, beside dagster-k8s' own client.

The same small step as a bare pod, as one with drayage's two other containers, through ``PipesK8sClient`` with its
default poll and with a short one, and through drayage, in alternation; then twenty steps at once, many messages through
one step, what an idle step asks of the cluster, and what arrives of a step that is killed, fails or is evicted.
It makes a namespace, and removes it.
"""

import contextlib
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import dagster as dg
import kubernetes
from dagster._core.pipes.context import PipesMessageHandler
from dagster_k8s import PipesK8sClient
from dagster_k8s.client import DEFAULT_WAIT_BETWEEN_ATTEMPTS
from removals import await_removals

from drayage import DrayageClient
from drayage.engine import ContainerSpec
from drayage.identity import DEPLOYMENT, EXCHANGE
from drayage.kubernetes import KubernetesEngine, KubernetesSettings
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.execution import Execution
from drayage.kubernetes.pods import STATE_FOLDER, STAY, WORKLOAD, Post, build_pod

SHORT_POLL_S = 0.5
BARE = ("bare", "bare, three containers")
_USER = "10001"
# What a start asks is over by then, also where it is looked for every 10 s.
_START_S = 25.0
_IDLE_S = 30.0
_DEADLINE_S = 300.0
_LOOK_S = 0.3
_QUIET_S = 4.0
# Three messages, then the end that is to be explained.
_THREE = 'for i in 1 2 3; do send report_custom_message \'{"payload":"counted"}\'; done'
_READY = "waiting to be evicted"
_LOSSES = {
    "out of memory": "head -c 300m /dev/zero | tail > /dev/null; exit 137",
    "exit 1": "exit 1",
    "eviction": f"echo {_READY}; trap 'exit 143' TERM; sleep 300 & wait",
}


def connect() -> Any:
    """Return a client with all rights of the kubeconfig."""
    kubernetes.config.load_kube_config()
    return kubernetes.client.CoreV1Api()


@dataclass
class Seen:
    """What the host saw of one step, in seconds since the call.

    Args:
        began_at: When it was called, on the monotonic clock.
        first_s: Its first message.
        judged_s: Its end: the call returned or raised.
        counted: How many of the counted messages came.
        error: What the call raised; empty if it returned.
    """

    began_at: float = 0.0
    first_s: float = float("nan")
    judged_s: float = float("nan")
    counted: int = 0
    error: str = ""


@dataclass(frozen=True)
class PodBench:
    """One run of the benchmark, in a namespace of its own.

    Args:
        root: Root of the exchange directories.
        image: The image of the steps, which the cluster can pull.
        script: Returns a shell script that speaks Pipes, of the work it does and the file that its messages go to.
        namespace: The namespace.
        api: The cluster's own client.
    """

    root: Path
    image: str
    script: Callable[..., Sequence[str]]
    namespace: str = field(default_factory=lambda: f"benchmark-{uuid.uuid4().hex[:8]}")
    api: Any = field(default_factory=connect)

    def __enter__(self) -> Self:
        """Make the namespace."""
        self.api.create_namespace({"metadata": {"name": self.namespace}})
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the namespace with everything in it."""
        await_removals()
        self.api.delete_namespace(self.namespace)

    def kinds(self) -> dict[str, Callable[..., Seen]]:
        """Return the ways to run a step, each a function of the step's work."""
        settings = KubernetesSettings.load(namespace=self.namespace)
        drayage = DrayageClient(exchange_root=self.root, deployment=self.namespace, engine=KubernetesEngine(settings))
        return {
            "bare": self._bare,
            "bare, three containers": lambda work=":": self._bare_three(settings, work),
            "stock": lambda work=":": self._stock(work, DEFAULT_WAIT_BETWEEN_ATTEMPTS),
            "stock, short poll": lambda work=":": self._stock(work, SHORT_POLL_S),
            "drayage": lambda work=":": self._drayage(drayage, work),
        }

    def await_quiet(self) -> None:
        """Wait until no pod is left, and what nodes do afterwards is over."""
        deadline = time.monotonic() + _DEADLINE_S
        while left := self.pods():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} pods of {self.namespace} are not removed after {_DEADLINE_S:.0f} s")
            time.sleep(_LOOK_S)
        time.sleep(_QUIET_S)

    def pods(self) -> list[Any]:
        """Return the pods of the namespace."""
        return list(self.api.list_namespaced_pod(self.namespace).items)

    def _bare(self, work: str = ":") -> Seen:
        began_at = time.monotonic()
        container = {"name": WORKLOAD, "image": self.image, "command": self.script(work, messages="/dev/stderr")}
        spec = {"restartPolicy": "Never", "containers": [container]}
        self._await_workload({"metadata": {"name": f"bare-{uuid.uuid4().hex[:8]}"}, "spec": spec})
        return Seen(judged_s=time.monotonic() - began_at)

    def _bare_three(self, settings: KubernetesSettings, work: str) -> Seen:
        """Make the pod that drayage makes, and nothing else: nobody reads its messages, and it ends by itself."""
        began_at = time.monotonic()
        name = f"bare-{uuid.uuid4().hex[:8]}"
        labels = {DEPLOYMENT: self.namespace, EXCHANGE: name}
        spec = ContainerSpec(self.image, command=self.script(work), labels=labels, memory_bytes=128 * 2**20, user=_USER)
        pod = build_pod(name, spec, settings, Post(b"{}", receives=True), host=name, pull_policy="IfNotPresent")
        del pod["metadata"]["finalizers"]
        for container in pod["spec"]["containers"]:
            if container["name"] == STAY:
                container["args"] = ["done", "--state", STATE_FOLDER]
        self._await_workload(pod)
        return Seen(judged_s=time.monotonic() - began_at)

    def _await_workload(self, pod: dict[str, Any]) -> None:
        """Make a pod, wait for the end of its workload, and let the cluster remove the pod."""
        name = pod["metadata"]["name"]
        self.api.create_namespaced_pod(self.namespace, pod)
        events = kubernetes.watch.Watch().stream(
            self.api.list_namespaced_pod,
            self.namespace,
            field_selector=f"metadata.name={name}",
            timeout_seconds=int(_DEADLINE_S),
        )
        for event in events:
            known = event["object"].status.container_statuses or ()
            if any(it.name == WORKLOAD and it.state.terminated for it in known):
                break
        else:
            raise TimeoutError(f"the workload of pod {name} did not end within {_DEADLINE_S:.0f} s")
        self.api.delete_namespaced_pod(name, self.namespace, grace_period_seconds=2)

    def _drayage(self, client: DrayageClient, work: str) -> Seen:
        kept_before = self._kept()
        seen = _through(
            lambda context: client.run(
                context=context, image=self.image, command=self.script(work), memory="128m", user=_USER
            ).get_results()
        )
        # Dagster gets the messages of a green step alone; the others are kept in the attempt's directory.
        seen.counted = self._kept() - kept_before
        return seen

    def _kept(self) -> int:
        files = self.root.glob("*/*/*/io/messages.jsonl")
        return sum(file.read_text(encoding="utf-8").count('"payload":"counted"') for file in files)

    def _stock(self, work: str, poll_s: float) -> Seen:
        client = PipesK8sClient(poll_interval=poll_s)
        container = {
            "name": "workload",
            "image": self.image,
            "command": list(self.script(work, messages="/dev/stderr")),
            "resources": {"limits": {"memory": "128Mi"}},
        }
        return _through(
            lambda context: client.run(
                context=context,
                namespace=self.namespace,
                base_pod_spec={"containers": [container], "restartPolicy": "Never"},
            ).get_results()
        )


def time_steps(bench: PodBench, runs: int) -> dict[str, dict[str, Any]]:
    """Time each kind of step, in alternation; the first round, which fills imports and connections, is not counted.

    Returns:
        By kind the medians of the first message and of the judgement, and every time, in seconds.
    """
    kinds = bench.kinds()
    seen: dict[str, list[Seen]] = {kind: [] for kind in kinds}
    for run in range(runs + 1):
        for kind, step in kinds.items():
            one = observed(step)
            if run:
                seen[kind].append(one)
            await_removals()
    return {
        kind: {
            "first_message_s": None if kind in BARE else round(statistics.median(it.first_s for it in each), 3),
            "judged_s": round(statistics.median(it.judged_s for it in each), 3),
            "all_first_s": [round(it.first_s, 3) for it in each if kind not in BARE],
            "all_judged_s": [round(it.judged_s, 3) for it in each],
        }
        for kind, each in seen.items()
    }


def time_at_once(bench: PodBench, steps: int, rounds: int = 2) -> dict[str, Any]:
    """Return the seconds in which so many steps of each kind end that begin together, and their ratios to bare pods."""
    kinds = {**bench.kinds(), "Dagster alone": _nothing}
    walls: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, step in kinds.items():
            # The nodes still remove the pods of the kind before, and would take the time of this one for it.
            bench.await_quiet()
            began_at = time.monotonic()
            with ThreadPoolExecutor(steps) as pool:
                list(pool.map(lambda _, step=step: step(), range(steps)))
            walls[kind].append(round(time.monotonic() - began_at, 3))
            await_removals()
    medians = {kind: statistics.median(each) for kind, each in walls.items()}
    return {
        "steps": steps,
        "median_s": medians,
        "of_bare": {kind: round(median / medians["bare"], 2) for kind, median in medians.items()},
        "all_s": walls,
    }


def time_messages(bench: PodBench, messages: int, burst: str) -> dict[str, Any]:
    """Return the rate at which one step's messages come, from its first to the verdict."""
    one = observed(bench.kinds()["drayage"], burst)
    if one.error:
        raise RuntimeError(one.error)
    return {"messages": messages, "messages_per_second": round(messages / (one.judged_s - one.first_s))}


def count_requests(bench: PodBench) -> dict[str, float]:
    """Return what a step that does nothing asks of the cluster, in requests a minute, by kind."""
    asked: list[float] = []
    sends = [
        patch.object(Cluster, "_send", _counted(Cluster._send, asked)),  # noqa: SLF001 - to be counted
        patch.object(Execution, "__init__", _counted(Execution.__init__, asked)),
        patch.object(
            kubernetes.client.rest.RESTClientObject,
            "request",
            _counted(kubernetes.client.rest.RESTClientObject.request, asked),
        ),
    ]
    counted: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for each in sends:
            stack.enter_context(each)
        for kind, step in bench.kinds().items():
            if kind in BARE:
                continue
            began_at = time.monotonic()
            step(f"sleep {_START_S + _IDLE_S + 5:.0f}")
            within = [at for at in asked if began_at + _START_S < at < began_at + _START_S + _IDLE_S]
            counted[kind] = round(len(within) * 60 / _IDLE_S, 1)
            await_removals()
    return counted


def compare_losses(bench: PodBench) -> dict[str, dict[str, Any]]:
    """Return by kind and end how many of three messages came, and the first words of the error."""
    kinds = {kind: step for kind, step in bench.kinds().items() if kind not in BARE}
    found: dict[str, dict[str, Any]] = {}
    for kind, step in kinds.items():
        for end, script in _LOSSES.items():
            with _evicting(bench) if end == "eviction" else contextlib.nullcontext():
                one = observed(step, f"{_THREE}; {script}")
            found.setdefault(kind, {})[end] = {
                "messages_of_3": one.counted,
                "seconds": round(one.judged_s, 1),
                "error": one.error[:300],
            }
            await_removals()
    return found


def _log_of(bench: PodBench, pod: Any) -> str:
    """Return what a pod's workload has printed; empty if it does not run."""
    if not any(it.name == "workload" and it.state.running for it in pod.status.container_statuses or ()):
        return ""
    return str(bench.api.read_namespaced_pod_log(pod.metadata.name, bench.namespace, container="workload"))


@contextlib.contextmanager
def _evicting(bench: PodBench) -> Iterator[None]:
    """Evict the step's pod once its workload has sent its messages."""
    known = {pod.metadata.name for pod in bench.pods()}

    def evict() -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while time.monotonic() < deadline:
            for pod in bench.pods():
                name = pod.metadata.name
                if name not in known and _READY in _log_of(bench, pod):
                    body = kubernetes.client.V1Eviction(metadata={"name": name})
                    bench.api.create_namespaced_pod_eviction(name, bench.namespace, body)
                    return
            time.sleep(0.1)

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def observed(step: Callable[..., Seen], work: str = ":") -> Seen:
    """Run a step while nothing else runs, and return what the host saw of it and of its messages."""
    came: list[tuple[float, bool]] = []
    handle = PipesMessageHandler.handle_message

    def handled(self: Any, message: Any) -> Any:
        came.append((time.monotonic(), (message.get("params") or {}).get("payload") == "counted"))
        return handle(self, message)

    with patch.object(PipesMessageHandler, "handle_message", handled):
        seen = step(work)
    if came:
        seen.first_s = came[0][0] - seen.began_at
    seen.counted = max(seen.counted, sum(is_counted for _, is_counted in came))
    return seen


def _nothing() -> Seen:
    """Run a step that has nothing to do."""
    return _through(lambda _: [dg.MaterializeResult()])


def _through(run: Callable[[dg.AssetExecutionContext], Any]) -> Seen:
    """Run a step in an asset."""
    seen = Seen()

    @dg.asset(name="report")
    def report(context: dg.AssetExecutionContext) -> Any:
        seen.began_at = time.monotonic()
        try:
            results = run(context)
        except Exception as error:
            seen.error = " ".join(str(error).split())
            raise
        finally:
            seen.judged_s = time.monotonic() - seen.began_at
        yield from results

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([report], instance=instance, run_config=quiet, raise_on_error=False)
    return seen


def _counted(call: Callable[..., Any], asked: list[float]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        asked.append(time.monotonic())
        return call(*arguments, **named)

    return counted
