"""What the tests share: scripted bridges, the real one, and both clients behind one face."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

import deskbridge
from deskbridge import v1
from scripted import Script, ScriptedBridge
from vanishing import VanishingLink

ROOT = Path(__file__).parents[3]
CALLBACK = ROOT / "server/internal/callback/testdata/documented.json"

OnEvent = Callable[[v1.SessionEvent], object]


class Collect(Protocol):
    """Subscribes, and returns the positions of what came. Leaves the loop when on_event returns "leave"."""

    def __call__(
        self,
        address: str,
        request: v1.SubscribeRequest | None = None,
        *,
        on_event: OnEvent = ...,
        store: deskbridge.CursorStore | None = None,
        hooks: deskbridge.Hooks | None = None,
        **client: Any,
    ) -> list[int]: ...


def batch_request(**fields: Any) -> v1.SubscribeRequest:
    return v1.SubscribeRequest(stop_when_caught_up=True, **fields)


def ignore(_: v1.SessionEvent) -> None:
    pass


def collect_async(
    address: str,
    request: v1.SubscribeRequest | None = None,
    *,
    on_event: OnEvent = ignore,
    store: deskbridge.CursorStore | None = None,
    hooks: deskbridge.Hooks | None = None,
    **client: Any,
) -> list[int]:
    async def run() -> list[int]:
        positions = []
        async with deskbridge.Client(address, **client) as bridge:
            request_ = batch_request() if request is None else request
            async for event in bridge.subscribe(request_, cursor_store=store, hooks=hooks):
                positions.append(event.position)
                if on_event(event) == "leave":
                    break
        return positions

    return asyncio.run(run())


def collect_sync(
    address: str,
    request: v1.SubscribeRequest | None = None,
    *,
    on_event: OnEvent = ignore,
    store: deskbridge.CursorStore | None = None,
    hooks: deskbridge.Hooks | None = None,
    **client: Any,
) -> list[int]:
    positions = []
    with deskbridge.SyncClient(address, **client) as bridge:
        request_ = batch_request() if request is None else request
        for event in bridge.subscribe(request_, cursor_store=store, hooks=hooks):
            positions.append(event.position)
            if on_event(event) == "leave":
                break
    return positions


@pytest.fixture(params=[collect_async, collect_sync], ids=["async", "sync"])
def collect(request: pytest.FixtureRequest) -> Collect:
    """Each test that asks for it runs with both clients."""
    function: Collect = request.param
    return function


class Serve(Protocol):
    def __call__(self, *scripts: Script, **options: Any) -> ScriptedBridge: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    bridges: list[ScriptedBridge] = []

    def start(*scripts: Script, **options: Any) -> ScriptedBridge:
        bridges.append(ScriptedBridge(*scripts, **options))
        return bridges[-1]

    yield start
    for bridge in bridges:
        bridge.stop()


@pytest.fixture
def link_to() -> Iterator[Callable[[int], VanishingLink]]:
    links: list[VanishingLink] = []

    def start(port: int) -> VanishingLink:
        links.append(VanishingLink(port))
        return links[-1]

    yield start
    for link in links:
        link.close()


class RealBridge:
    """The daemon, on free ports that it keeps over a restart."""

    def __init__(self, binary: Path, data: Path) -> None:
        self._binary, self._data = binary, data
        self.http, self.address = "127.0.0.1:0", "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        addresses = ["--http-addr", self.http, "--grpc-addr", self.address]
        command = [str(self._binary), *addresses, "--data-dir", str(self._data)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        log = []
        for line in self._process.stderr:
            log.append(line)
            if ready := re.search(r"is ready.* http=(\S+) grpc=(\S+)", line):
                self.http, self.address = ready.groups()
                return
        raise AssertionError("the bridge did not start: " + "".join(log))

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)

    def post(self, number: int) -> None:
        """Plays the vendor: the documented callback, each number another one."""
        query = f"SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify&contenttype=json&RequestID=r-{number}"
        url = f"http://{self.http}/v1/callbacks/desk?{query}"
        with urllib.request.urlopen(url, CALLBACK.read_bytes(), timeout=30) as answer:
            assert b'"OK"' in answer.read()


@pytest.fixture(scope="session")
def binary() -> Path:
    if given := os.environ.get("BRIDGE"):
        return Path(given).absolute()
    built = ROOT / "bin/deskbridge"
    subprocess.run(["go", "build", "-o", built, "./server/cmd/deskbridge"], cwd=ROOT, check=True)  # noqa: S607
    return built


@pytest.fixture
def real_bridge(binary: Path, tmp_path: Path) -> Iterator[RealBridge]:
    bridge = RealBridge(binary, tmp_path / "data")
    yield bridge
    bridge.stop()
