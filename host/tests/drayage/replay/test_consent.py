"""What a capsule asks of this machine is refused unless it is named, and the refusal says how to name it."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from fake_process import FakeImage

from drayage import EnvSecret, FileSecret, Mount, SettingsError
from drayage.docker.options import explain
from drayage.engine import OptionFacts
from drayage.exchange.directory import Exchange
from drayage.exchange.history import read_step
from drayage.exchange.record import ContainerRecord
from drayage.identity import Identity
from drayage.replay.consent import consented, shown
from drayage.replay.prepare import Overrides, prepare
from drayage.settings import StepSettings

COMMAND = "drayage replay step.tar.gz"


def record(**update: Any) -> ContainerRecord:
    made = ContainerRecord(
        identity=Identity("d", "run", "run", "step", 0, 0),
        fingerprint="f",
        container_id="c",
        container_name="n",
        image="image",
        image_id="image",
        command=("true",),
        created_at_s=1.0,
    )
    return made.model_copy(update=update)


class EngineWithOptions(FakeEngine):
    """The fake engine, to which Docker's options mean what they mean to Docker."""

    def explain(self, options: Mapping[str, Any]) -> OptionFacts:
        return explain(options)


def consent(asked: ContainerRecord, **named: Any) -> ContainerRecord:
    engine = EngineWithOptions({"image": FakeImage({}, [])})
    return consented(asked, Overrides(**named), engine=engine, command=COMMAND)


def refused(asked: ContainerRecord, **named: Any) -> list[str]:
    """Return the words that the refusal adds to the command line."""
    with pytest.raises(SettingsError) as refusal:
        consent(asked, **named)
    said = str(refusal.value)
    assert "Nothing was started" in said
    return shlex.split(said.partition(f"{COMMAND} ")[2])


def test_a_capsule_that_asks_for_nothing_runs() -> None:
    options = {"entrypoint": ["sh"], "mem_limit": "1g", "network_mode": "none", "user": "0", "tty": True}
    settings = StepSettings(networks=("none",), mounts=(Mount("", "/tmp/x", kind="tmpfs"),), user="1000")  # noqa: S108
    asked = record(environment={"A": "1"}, settings=settings, container_kwargs=options)
    given = consent(asked)
    assert given.environment == {"A": "1"}
    assert given.settings == settings.overridden({"pull": "never"}, source="test")
    assert {**given.container_kwargs} == {**options, "use_config_proxy": False}


MOUNT = Mount("/srv/data", "/data")
VOLUME = Mount("postgres", "/pg", read_only=False, kind="volume")


def test_host_paths_and_volumes_are_refused_unless_named() -> None:
    asked = record(settings=StepSettings(mounts=(MOUNT, VOLUME)))
    assert refused(asked) == ["--mount", "/srv/data:/data:ro", "--mount", "postgres:/pg"]
    assert refused(asked, mounts=(MOUNT,)) == ["--mount", "postgres:/pg"]
    own = Mount("/etc", "/host", read_only=False, kind="local")
    assert refused(record(settings=StepSettings(mounts=(own,)))) == ["--mount", "/etc:/host"]
    # The recorded ones are never used: the command line's own take their place.
    assert consent(asked, mounts=(MOUNT, VOLUME)).settings.mounts == ()


def test_networks_are_refused_unless_named() -> None:
    asked = record(settings=StepSettings(networks=("stack", "bridge")), container_kwargs={"network_mode": "host"})
    assert refused(asked) == ["--network", "stack", "--network", "host"]
    consent(asked, networks=("stack",))
    assert refused(record(container_kwargs={"network": "stack"})) == ["--network", "stack"]


def test_the_environment_is_refused_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    asked = record(environment={"AWS_SECRET_ACCESS_KEY": None, "A": "1"})
    assert refused(asked) == ["--env", "AWS_SECRET_ACCESS_KEY"]
    given = consent(asked, environment={"AWS_SECRET_ACCESS_KEY": "another"})
    assert given.known_environment() == {"A": "1"}


def test_sources_of_secrets_are_refused_unless_named() -> None:
    asked = record(secrets={"a": FileSecret("/etc/shadow"), "b": EnvSecret("TOKEN")})
    assert refused(asked) == ["--secret", "a=file:/etc/shadow", "--secret", "b=env:TOKEN"]
    assert consent(asked, secrets={"a": EnvSecret("A"), "b": EnvSecret("B")}).secrets == {}


@pytest.mark.parametrize(
    "option",
    [
        {"privileged": True},
        {"volumes": {"/": {"bind": "/host"}}},
        {"volumes": ["/:/host"]},
        {"mounts": [{"Target": "/host", "Source": "/", "Type": "bind"}]},
        {"devices": ["/dev/sda:/dev/sda"]},
        {"device_requests": [{"Count": -1}]},
        {"device_cgroup_rules": ["a *:* rwm"]},
        {"cap_add": ["SYS_ADMIN"]},
        {"pid_mode": "host"},
        {"ipc_mode": "host"},
        {"uts_mode": "host"},
        {"userns_mode": "host"},
        {"cgroupns": "host"},
        {"cgroup_parent": "/"},
        {"security_opt": ["seccomp=unconfined"]},
        {"runtime": "other"},
        {"volumes_from": ["postgres"]},
        {"volume_driver": "other"},
        {"group_add": ["105"]},
        {"sysctls": {"net.ipv4.ip_forward": "1"}},
        {"extra_hosts": {"db": "host-gateway"}},
        {"links": {"postgres": "db"}},
        {"ports": {"80/tcp": 80}},
        {"publish_all_ports": True},
        {"log_config": {"Type": "syslog"}},
        {"restart_policy": {"Name": "always"}},
        {"oom_kill_disable": True},
        {"oom_score_adj": -1000},
        {"ulimits": [{"Name": "nofile", "Hard": 9**9}]},
        {"init_path": "/x"},
        {"use_config_proxy": True},
        {"networking_config": {"stack": {}}},
        {"an_option_of_next_year": 1},
    ],
)
def test_an_option_that_reaches_the_host_is_refused_unless_named_with_its_value(option: dict[str, Any]) -> None:
    """The value is named too: a script that allows one path must not allow another one's."""
    asked = record(container_kwargs=option)
    (name, value), words = next(iter(option.items())), refused(asked)
    assert words[0] == "--allow"
    assert words[1].startswith(f"{name}=")
    assert refused(asked, allowed={name: "another"}) == words
    assert consent(asked, allowed=option).container_kwargs[name] == value


def test_what_is_allowed_must_be_asked_for() -> None:
    with pytest.raises(SettingsError, match="--allow privilegde: the capsule does not ask for that"):
        consent(record(), allowed={"privilegde": True})


def test_an_image_that_would_be_pulled_is_refused_unless_named() -> None:
    asked = record(image="registry.example/stranger", image_id="sha256:2")
    assert refused(asked) == ["--image", "registry.example/stranger"]
    consent(asked, image="registry.example/stranger")


def test_an_image_that_is_here_by_its_name_is_not_pulled(tmp_path: Path) -> None:
    """The capsule's own ``pull`` would have the registry that it names asked."""
    asked = record(image_id="sha256:2", settings=StepSettings(pull="always"))
    step = replace(read_step(Exchange(tmp_path).create("run/step/0")), record=consent(asked))
    engine = FakeEngine({"image": FakeImage({}, [])})
    engine.registry["image"] = FakeImage({}, ["stranger"])
    prepared = prepare(step, Overrides(), engine=engine, exchange=Exchange(tmp_path))
    assert prepared.request.image == "image"
    assert engine.images["image"] is not engine.registry["image"]


def test_labels_are_dropped() -> None:
    """The sweeper, and whatever else watches over containers, would take them for orders."""
    settings = StepSettings(labels={"drayage/deployment": "another", "dagster/run_id": "x"})
    assert consent(record(settings=settings)).settings.labels == {}


def test_everything_that_runs_is_shown_on_one_line_each() -> None:
    asked = record(
        command=("sh", "-c", "true\x1b[2K\rharmless\n\u202e"),
        settings=StepSettings(user="0", networks=("none",)),
        environment={"A": "1"},
        container_kwargs={"entrypoint": ["/bin/sh"], "hostname": "h"},
    )
    rows = dict(shown(consent(asked), Overrides(mounts=(MOUNT,), secrets={"t": EnvSecret("T")})))
    assert all(value.isprintable() for value in rows.values())
    assert rows["image"] == "image"
    assert "harmless" in rows["command"]
    assert rows["user"] == "0"
    assert rows["networks"] == '["none"]'
    assert rows["mounts"] == '["/srv/data:/data:ro"]'
    assert rows["environment"] == '["A"]'
    assert rows["secrets"] == '{"t": "env:T"}'
    assert '"entrypoint": ["/bin/sh"]' in rows["options"]
    assert "hostname" in rows["options"]


def test_a_long_command_says_that_it_is_longer() -> None:
    rows = dict(shown(record(command="x" * 10_000), Overrides()))
    assert rows["command"].endswith("… and 8000 more characters")


def test_what_cannot_be_typed_cannot_be_allowed() -> None:
    asked = record(settings=StepSettings(mounts=(Mount("/etc\n\x1b[2K", "/x"),)))
    with pytest.raises(SettingsError, match="cannot be typed") as refusal:
        consent(asked)
    assert str(refusal.value).isprintable()


def test_a_thousand_wishes_are_refused_in_few_words() -> None:
    asked = record(environment={f"A{number}": None for number in range(100_000)})
    assert len(refused(asked)) == 80
