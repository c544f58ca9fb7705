"""Both clients, and the examples, against the real bridge."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import deskbridge
from conftest import ROOT, Collect, RealBridge, batch_request
from deskbridge import v1

EARLIEST = batch_request(start_position=v1.START_POSITION_EARLIEST)


def test_follows_over_a_restart(collect: Collect, real_bridge: RealBridge) -> None:
    real_bridge.post(1)
    causes: list[str] = []

    def on_event(event: v1.SessionEvent) -> str:
        if event.position == 1:
            real_bridge.stop()
            real_bridge.start()
            real_bridge.post(2)
        return "leave" if event.position == 2 else ""

    positions = collect(
        real_bridge.address,
        v1.SubscribeRequest(start_position=v1.START_POSITION_EARLIEST),
        on_event=on_event,
        hooks=deskbridge.Hooks(reconnecting=lambda cause, _: causes.append(cause.reason_name)),
    )
    assert positions == [1, 2]
    assert causes


def test_resumes_from_a_file(collect: Collect, real_bridge: RealBridge, tmp_path: Path) -> None:
    store = deskbridge.FileCursorStore(tmp_path / "cursor")
    for number in (1, 2, 3):
        real_bridge.post(number)
    assert collect(real_bridge.address, EARLIEST, store=store, on_event=lambda _: "leave") == [1]
    assert collect(real_bridge.address, EARLIEST, store=store) == [1, 2, 3]
    real_bridge.post(4)
    assert collect(real_bridge.address, EARLIEST, store=store) == [4]


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (v1.SubscribeRequest(after_cursor="nobody:1"), "CURSOR_FOREIGN_EPOCH", ""),
        (v1.SubscribeRequest(after_cursor="?"), "CURSOR_MALFORMED", "after_cursor"),
        (v1.SubscribeRequest(filter=v1.EventFilter(expression="event.")), "FILTER_INVALID", "filter.expression"),
    ],
    ids=["foreign", "malformed", "filter"],
)
def test_refusals_are_typed(
    collect: Collect, real_bridge: RealBridge, request_: v1.SubscribeRequest, reason: str, field: str
) -> None:
    with pytest.raises(deskbridge.DeskbridgeError) as raised:
        collect(real_bridge.address, request_)
    assert raised.value.reason_name == reason
    assert raised.value.field == field or not field


def test_unary_calls(real_bridge: RealBridge) -> None:
    real_bridge.post(1)
    with deskbridge.SyncClient(real_bridge.address) as bridge:
        info = bridge.get_journal_info(timeout=30)
        assert info.latest.position == info.event_count == 1
        (event,) = bridge.subscribe(EARLIEST)
        assert [e.id for e in bridge.list_session_events(event.session_id)] == [event.id]


@contextlib.contextmanager
def run_example(name: str, *arguments: str, address: str) -> Iterator[subprocess.Popen[str]]:
    """Runs it for as long as the context lasts, and at most a minute."""
    environment = {**os.environ, "DESKBRIDGE_ADDR": address}
    command = [sys.executable, str(ROOT / "examples/python" / name), *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as example:
        deadline = threading.Timer(60, example.kill)
        deadline.start()
        yield example
        deadline.cancel()
        example.kill()


def test_example_tail(real_bridge: RealBridge) -> None:
    real_bridge.post(1)
    real_bridge.post(2)
    with run_example("tail.py", address=real_bridge.address) as tail:
        assert tail.stdout
        lines = [tail.stdout.readline().split() for _ in range(2)]
    assert [line[0] for line in lines] == ["1", "2"]
    assert all(len(line) == 3 for line in lines)


def test_example_ratings(real_bridge: RealBridge, tmp_path: Path) -> None:
    for number in (1, 2):
        real_bridge.post(number)
    database = tmp_path / "ratings.db"

    def positions(expected: int) -> list[int]:
        """Runs the example until there are so many, and kills it."""
        with run_example("ratings.py", str(database), address=real_bridge.address) as example:
            found: list[int] = []
            while len(found) < expected and example.poll() is None:
                found = read(database)
        return read(database)

    assert positions(2) == [1, 2]
    real_bridge.post(3)
    assert positions(3) == [1, 2, 3]


def read(database: Path) -> list[int]:
    if not database.exists():
        return []
    connection = sqlite3.connect(database, timeout=30)
    try:
        return [row[0] for row in connection.execute("SELECT position FROM ratings ORDER BY position")]
    except sqlite3.OperationalError:  # not created yet
        return []
    finally:
        connection.close()
