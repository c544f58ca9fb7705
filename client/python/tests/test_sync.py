"""How the blocking client begins and ends: nothing may be left running."""

from __future__ import annotations

import threading
import time

import pytest

import deskbridge
from conftest import Serve
from deskbridge import v1
from scripted import Script, at, batch, cut, opened, stalls


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "deskbridge watchdog"]


@pytest.mark.parametrize("script", [stalls(opened(0, 0)), cut(), stalls()], ids=["events", "reconnect", "answer"])
def test_close_in_another_thread_ends_the_subscription(serve: Serve, script: Script) -> None:
    bridge = serve(script)
    client = deskbridge.SyncClient(bridge.address)

    def close() -> None:
        while not bridge.requests:
            time.sleep(0.01)
        client.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(deskbridge.ClosedError):
        for _ in client.subscribe():
            pass
    closer.join()
    with pytest.raises(deskbridge.ClosedError):
        next(client.subscribe())
    with pytest.raises(deskbridge.ClosedError):
        client.get_journal_info()
    client.close()
    assert watchdogs() == []


def test_left_loop_has_ended(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.MemoryCursorStore()
    with deskbridge.SyncClient(bridge.address) as client:
        for event in client.subscribe(cursor_store=store):
            if event.position == 2:
                break
        assert store.cursor == at(1)
        assert watchdogs() == []


def test_subscription_in_a_variable_is_ended_by_close(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.MemoryCursorStore()
    with deskbridge.SyncClient(bridge.address) as client:
        events = client.subscribe(cursor_store=store)
        assert [next(events).position, next(events).position] == [1, 2]
        events.close()
        assert (store.cursor, watchdogs()) == (at(1), [])


def test_unary_calls(serve: Serve) -> None:
    bridge = serve(stalls())
    with deskbridge.SyncClient(bridge.address) as client:
        assert [event.position for event in client.list_session_events("s", timeout=30)] == [1, 2, 3]
        with pytest.raises(deskbridge.DeskbridgeError) as raised:
            client.get_journal_info()
        assert raised.value.reason == v1.ERROR_REASON_JOURNAL_UNAVAILABLE
