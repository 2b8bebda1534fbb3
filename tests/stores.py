"""Real S3 servers in processes of their own, and the proxy that injects faults before them."""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline.records import bucket
from pipeline.records.bucket import Url

BIN = Path(sys.executable).parent
BUCKET = "lip"
KEYS = ("test", "testtest")


class Store:
    """A server, the proxy before it, and the environment that points to the proxy."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self.mark = 0  # of tests, in the list of requests
        self.server_port, self.port = _free_port(), _free_port()
        self._rules, self._log = folder / "rules.json", folder / "requests.jsonl"
        self.rule()
        self._log.touch()
        self.start()
        self._proxy = _start(
            folder / "proxy.log",
            [sys.executable, "-m", "tests.s3_proxy", self.port, self.server_port, self._rules, self._log],
        )
        _wait_for(self.port)
        self._client.create_bucket(Bucket=BUCKET)

    def start(self) -> None:
        """Starts the server; what `rclone` serves lies on a disk and outlives it."""
        (self._folder / "served").mkdir(exist_ok=True)
        moto = [BIN / "moto_server", "-H", "127.0.0.1", "-p", self.server_port]
        served = ["--auth-key", ",".join(KEYS), "--vfs-cache-mode", "off", self._folder / "served"]
        rclone = [BIN / "rclone", "serve", "s3", "--addr", f"127.0.0.1:{self.server_port}", *served]
        self._server = _start(self._folder / "server.log", moto if self._kind == "moto" else rclone)
        _wait_for(self.server_port)

    def kill(self) -> None:
        """Kills the server, not the proxy."""
        self._server.kill()
        self._server.wait()

    def stop(self) -> None:
        """Kills both."""
        self.kill()
        self._proxy.kill()
        self._proxy.wait()

    @property
    def environment(self) -> dict[str, str]:
        """For clients that reach the server through the proxy, and give up soon."""
        return {
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_MAX_ATTEMPTS": "3",
            "S3_REQUEST_TIMEOUT_MSEC": "2000",
        }

    def rule(self, *rules: dict[str, Any]) -> None:
        """Sets what happens to requests from now on, as `s3_proxy` describes it; nothing without rules."""
        temporary = self._rules.with_suffix(".tmp")
        temporary.write_text(json.dumps(rules))
        temporary.replace(self._rules)

    def requests(self) -> list[dict[str, Any]]:
        """Every request so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def put(self, key: str, content: bytes) -> None:
        """Writes an object behind the back of the program."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def put_tree(self, folder: Path, prefix: str) -> Url:
        """Writes the files of a directory; returns where they are."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return Url(f"s3://{BUCKET}/{prefix}")

    def remove(self, key: str) -> None:
        """Removes an object."""
        self._client.delete_object(Bucket=BUCKET, Key=key)

    def get(self, key: str) -> bytes:
        """Reads an object as another program does."""
        return self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", []))

    @functools.cached_property
    def _client(self) -> Any:
        """Made once: that takes boto3 a second."""
        config = Config(response_checksum_validation="when_required", request_checksum_calculation="when_required")
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.server_port}",
            aws_access_key_id=KEYS[0],
            aws_secret_access_key=KEYS[1],
            region_name="us-east-1",
            config=config,
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _start(log: Path, command: list[Any]) -> subprocess.Popen:
    with log.open("ab") as file:
        return subprocess.Popen(list(map(str, command)), stdout=file, stderr=file, stdin=subprocess.DEVNULL)


def _wait_for(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens at port {port}")


@contextlib.contextmanager
def running(folder: Path, kind: str = "moto") -> Iterator[Store]:
    """A store of `moto`, the faithful one, or `rclone`, which is fast and keeps its objects on a disk."""
    store = Store(folder, kind)
    try:
        yield store
    finally:
        store.stop()


@contextlib.contextmanager
def entered(store: Store) -> Iterator[None]:
    """Points this process to a store: for clients that it opens within the block, and has not opened before."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        forget()
        yield
    forget()


def forget() -> None:
    """Closes the clients of this process, so that the next ones see today's environment."""
    bucket._opened.cache_clear()


def child_environment(store: Store) -> dict[str, str]:
    """The environment of a command that uses the store."""
    return {**os.environ, **store.environment}
