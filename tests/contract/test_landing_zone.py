"""The landing zone in the object store's own image: who may do what there, and what an interrupted landing leaves."""

import hashlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import docker
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from contract_steps import wait_until

from nyc_taxi.landing.errors import OvertakenError
from nyc_taxi.landing.zone import Access, LandedFile, LandingZone, current_files

pytestmark = pytest.mark.engine

IMAGE = "drayage/minio"
OWNER = ("owner", uuid.uuid4().hex)
READER = ("landing-reader", uuid.uuid4().hex)
URL = "s3://landing/yellow/"
JANUARY = "yellow_tripdata_2019-01.parquet"


@dataclass(frozen=True)
class ObjectStore:
    """A running object store, in which ``create-bucket`` was run twice."""

    container: Any
    address: str

    def client(self, keys: tuple[str, str]) -> Any:
        return botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.address,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def environment_file(self, folder: Path) -> Path:
        file = folder / "stack.env"
        port = self.address.rpartition(":")[2]
        file.write_text(f"MINIO_PORT={port}\nS3_ACCESS_KEY_ID={OWNER[0]}\nS3_SECRET_ACCESS_KEY={OWNER[1]}\n")
        return file

    def create_buckets(self, reader_secret: str = READER[1]) -> None:
        settings = {
            "S3_ENDPOINT": "http://127.0.0.1:9000",
            "WAREHOUSE_BUCKET": "warehouse",
            "LANDING_BUCKET": "landing",
            "LANDING_ACCESS_KEY_ID": READER[0],
            "LANDING_SECRET_ACCESS_KEY": reader_secret,
        }
        done = self.container.exec_run(["create-bucket"], environment=settings)
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def store(docker_engine: docker.DockerClient) -> Iterator[ObjectStore]:
    container: Any = docker_engine.containers.run(
        IMAGE,
        name=f"landing-{uuid.uuid4().hex[:8]}",
        detach=True,
        environment={"MINIO_ROOT_USER": OWNER[0], "MINIO_ROOT_PASSWORD": OWNER[1]},
        ports={"9000/tcp": ("127.0.0.1", 0)},
    )
    try:
        container.reload()
        port = container.attrs["NetworkSettings"]["Ports"]["9000/tcp"][0]["HostPort"]
        store = ObjectStore(container, f"http://127.0.0.1:{port}")
        # As on a stack that has the buckets and the user already, with another secret.
        store.create_buckets(uuid.uuid4().hex)
        store.create_buckets()
        yield store
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def bucket(store: ObjectStore) -> Iterator[Any]:
    """Return the owner's client; the landing zone is empty afterwards."""
    client = store.client(OWNER)
    yield client
    for each in client.list_objects_v2(Bucket="landing").get("Contents", ()):
        client.delete_object(Bucket="landing", Key=each["Key"])


def landing(store: ObjectStore, folder: Path, tmp_path: Path) -> list[str]:
    return [
        sys.executable,
        *("-m", "nyc_taxi.landing", "--environment-file", str(store.environment_file(tmp_path))),
        *("--", str(folder)),
    ]


def names(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket="landing").get("Contents", ())]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a #folder: $HOME é"
    folder.mkdir()
    (folder / JANUARY).write_bytes(b"January")
    return folder


def test_a_folder_lands_once_and_its_reader_reads_it(
    store: ObjectStore, bucket: Any, folder: Path, tmp_path: Path
) -> None:
    command = landing(store, folder, tmp_path)
    first, second = (subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2))  # noqa: S603
    assert "1 landed, 0 unchanged, 0 refused" in first.stdout, first.stderr
    assert "0 landed, 1 unchanged, 0 refused" in second.stdout, second.stderr
    assert names(bucket) == [f"yellow/{JANUARY}"]
    found = store.client(READER).get_object(Bucket="landing", Key=f"yellow/{JANUARY}")
    assert found["Body"].read() == b"January"
    assert found["Metadata"]["origin"].endswith("/a%20%23folder%3A%20%24HOME%20%C3%A9/" + JANUARY)
    listed = LandingZone(Access(store.address, "us-east-1", URL, *READER)).objects()
    assert [each.name for each in listed] == [JANUARY]


def test_the_reader_may_do_nothing_else(store: ObjectStore, bucket: Any) -> None:
    """A step that is broken into must not change a month's file, or read the tables."""
    bucket.put_object(Bucket="landing", Key="yellow/kept", Body=b"kept")
    bucket.put_object(Bucket="warehouse", Key="secret", Body=b"kept")
    reader = store.client(READER)
    refused: dict[str, dict[str, Any]] = {
        "put_object": {"Bucket": "landing", "Key": "yellow/kept", "Body": b"changed"},
        "delete_object": {"Bucket": "landing", "Key": "yellow/kept"},
        "create_multipart_upload": {"Bucket": "landing", "Key": "yellow/kept"},
        "put_bucket_policy": {"Bucket": "landing", "Policy": "{}"},
        "list_objects_v2": {"Bucket": "warehouse"},
        "get_object": {"Bucket": "warehouse", "Key": "secret"},
        "create_bucket": {"Bucket": "another"},
    }
    for operation, arguments in refused.items():
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(reader, operation)(**arguments)
    assert bucket.get_object(Bucket="landing", Key="yellow/kept")["Body"].read() == b"kept"


def test_no_secret_is_in_a_process_list(store: ObjectStore) -> None:
    """Anyone on the engine's machine may list the processes of its containers."""
    seen: list[str] = []
    running = store.container.client.api.exec_create(
        store.container.id,
        ["sh", "-c", "create-bucket & while kill -0 $! 2>/dev/null; do cat /proc/[0-9]*/cmdline; echo; done"],
        environment={
            "S3_ENDPOINT": "http://127.0.0.1:9000",
            "WAREHOUSE_BUCKET": "warehouse",
            "LANDING_BUCKET": "landing",
            "LANDING_ACCESS_KEY_ID": READER[0],
            "LANDING_SECRET_ACCESS_KEY": READER[1],
        },
    )
    output = store.container.client.api.exec_start(running["Id"])
    seen += output.replace(b"\0", b" ").decode(errors="replace").splitlines()
    assert any("admin user add" in line for line in seen)
    assert [line for line in seen if READER[1] in line or OWNER[1] in line] == []


def test_an_interrupted_landing_leaves_whole_objects_only(
    store: ObjectStore, bucket: Any, folder: Path, tmp_path: Path
) -> None:
    large = folder / "yellow_tripdata_2019-02.csv"
    with large.open("wb") as file:
        file.truncate(2**30)
    running = subprocess.Popen(  # noqa: S603 - our own command line
        ["env", "--default-signal=INT", *landing(store, folder, tmp_path)],  # noqa: S607
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: names(bucket) == [f"yellow/{JANUARY}"], what="the first file in the landing zone")
        os.kill(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130, said
    assert f"Landed as a whole: {JANUARY}." in said
    assert names(bucket) == [f"yellow/{JANUARY}"]
    assert bucket.list_multipart_uploads(Bucket="landing").get("Uploads", []) == []


@pytest.mark.parametrize("endings", [("csv", "parquet"), ("csv", "csv")])
def test_two_landings_of_one_month_at_once_lose_no_file_and_say_which_one_is_read(
    store: ObjectStore, bucket: Any, tmp_path: Path, endings: tuple[str, str]
) -> None:
    """Two formats stay beside each other; of one name and two contents the store takes one, and refuses the other."""
    for turn in range(2):
        running = []
        for person, ending in zip(("ann", "bob"), endings, strict=True):
            folder = tmp_path / f"{person} {turn}"
            folder.mkdir()
            (folder / f"yellow_tripdata_2019-03.{ending}").write_bytes(f"{person} {turn}".encode() * 1_000_000)
            command = landing(store, folder, tmp_path)
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))  # noqa: S603 - ours
        said = [process.communicate(timeout=120) for process in running]
        codes = [process.returncode for process in running]
        assert 0 in codes, said
        assert set(codes) <= {0, 1}, said
        assert len(names(bucket)) == len(set(endings))
        (read,) = current_files(LandingZone(Access(store.address, "us-east-1", URL, *READER)).objects()).values()
        content = bucket.get_object(Bucket="landing", Key=f"yellow/{read.name}")["Body"].read()
        winner = ("ann", "bob").index(content[:3].decode())
        assert content == f"{('ann', 'bob')[winner]} {turn}".encode() * 1_000_000
        assert codes[winner] == 0, said
        if codes[1 - winner]:
            assert "Agree on who" in said[1 - winner][1]


def test_the_store_replaces_only_what_a_landing_has_seen(store: ObjectStore, bucket: Any, tmp_path: Path) -> None:
    """The part of S3 that keeps two landings apart; a stand-in could promise it and the store not."""
    zone = LandingZone(Access(store.address, "us-east-1", URL, *OWNER))

    def put(content: bytes, before: LandedFile | None) -> str:
        path = tmp_path / "content"
        path.write_bytes(content)
        with path.open("rb") as file:
            return zone.put(
                JANUARY,
                file,
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                origin="/x",
                before=before,
                sending=lambda: None,
            )

    e_tag = put(b"first", None)
    first = zone.find(JANUARY)
    assert first == LandedFile(e_tag, hashlib.sha256(b"first").hexdigest(), "/x")
    with pytest.raises(OvertakenError):
        put(b"second", None)
    put(b"second" * 100_000, first)
    with pytest.raises(OvertakenError):
        put(b"third" * 1_000_000, first)
    assert bucket.get_object(Bucket="landing", Key=f"yellow/{JANUARY}")["Body"].read() == b"second" * 100_000
