"""How the blocking client begins and ends: nothing may be left running."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable

import pytest

import deskbridge
from conftest import Serve
from deskbridge import v1
from scripted import Script, at, batch, cut, opened, stalls


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


@pytest.mark.parametrize("trouble", [cut(), stalls()], ids=["refused", "silent"])
def test_trouble_of_one_subscription_disturbs_no_other_call(serve: Serve, trouble: Script) -> None:
    bridge = serve(named={"well": stalls(opened(0, 1), batch(1)), "in trouble": trouble})
    bridge.may_answer.clear()
    causes: list[deskbridge.DeskbridgeError] = []
    answers: list[v1.ErrorReason.ValueType] = []
    with deskbridge.SyncClient(bridge.address) as client:

        def follow(name: str, interval: float, hooks: deskbridge.Hooks | None = None) -> None:
            with pytest.raises(deskbridge.ClosedError):
                for _ in client.subscribe(
                    name=name, heartbeat_interval=datetime.timedelta(seconds=interval), hooks=hooks
                ):
                    pass

        def call() -> None:
            with pytest.raises(deskbridge.DeskbridgeError) as raised:
                client.get_journal_info()
            answers.append(raised.value.reason)

        hooks = deskbridge.Hooks(reconnecting=lambda cause, _: causes.append(cause))
        well = threading.Thread(target=follow, args=("well", 60, hooks))
        in_trouble = threading.Thread(target=follow, args=("in trouble", 0.1))
        calling = threading.Thread(target=call)
        well.start()
        calling.start()
        until(lambda: bridge.count("well") == 1 and bridge.unary_calls == 1)
        in_trouble.start()
        until(lambda: bridge.count("in trouble") >= 3)
        bridge.may_answer.set()
        calling.join()
        assert answers == [v1.ERROR_REASON_JOURNAL_UNAVAILABLE]
        assert (causes, bridge.count("well")) == ([], 1)
    well.join()
    in_trouble.join()


def test_close_ends_the_subscription_within_a_batch(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.MemoryCursorStore()
    client = deskbridge.SyncClient(bridge.address)
    seen = []

    def follow() -> None:
        for event in client.subscribe(cursor_store=store):
            seen.append(event.position)
            client.close()

    with pytest.raises(deskbridge.ClosedError):
        follow()
    assert (seen, store.cursor) == ([1], at(1))


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
