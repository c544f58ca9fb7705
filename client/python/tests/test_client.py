"""How the asyncio client begins and ends: nothing may be left running."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import deskbridge
from conftest import Serve
from deskbridge import v1
from scripted import Script, ScriptedBridge, at, batch, caught_up, cut, opened, plays, stalls


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def is_quiet(bridge: ScriptedBridge) -> None:
    """Waits until the bridge has no stream, and the loop no task but this one."""
    await until(lambda: bridge.open_streams == 0 and len(asyncio.all_tasks()) == 1)


WAITS = {
    "for events": stalls(opened(0, 0)),
    "to reconnect": cut(),
    "for an answer": stalls(),
}


@pytest.mark.parametrize("script", WAITS.values(), ids=WAITS.keys())
def test_cancelled_task_ends_the_subscription(serve: Serve, script: Script) -> None:
    bridge = serve(script)

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:

            async def follow() -> None:
                async for _ in client.subscribe():
                    pass

            task = asyncio.ensure_future(follow())
            await until(lambda: len(bridge.requests) > 0)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await is_quiet(bridge)

    asyncio.run(run())


@pytest.mark.parametrize("script", WAITS.values(), ids=WAITS.keys())
def test_close_ends_the_subscription(serve: Serve, script: Script) -> None:
    bridge = serve(script)

    async def run() -> None:
        client = deskbridge.Client(bridge.address)

        async def follow() -> None:
            async for _ in client.subscribe():
                pass

        task = asyncio.ensure_future(follow())
        await until(lambda: len(bridge.requests) > 0)
        await client.close()
        await client.close()
        for ended in [task, follow(), client.get_journal_info()]:
            with pytest.raises(deskbridge.ClosedError):
                await ended
        await is_quiet(bridge)

    asyncio.run(run())


def test_close_ends_the_subscription_within_a_batch(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.MemoryCursorStore()
    seen = []

    async def follow() -> None:
        client = deskbridge.Client(bridge.address)
        async for event in client.subscribe(cursor_store=store):
            seen.append(event.position)
            await client.close()

    with pytest.raises(deskbridge.ClosedError):
        asyncio.run(follow())
    assert (seen, store.cursor) == ([1], at(1))


def test_cancelled_wait_does_not_look_like_the_end(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 0)))

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:
            events = client.subscribe()
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.wait({waiting}, timeout=0.2)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            with pytest.raises(RuntimeError, match="cancelled"):
                await anext(events)

    asyncio.run(run())


class SlowStore:
    """Takes its time, as a store behind a network does."""

    def __init__(self) -> None:
        self.cursor = ""

    async def load(self) -> str:
        await asyncio.sleep(0.01)
        return self.cursor

    async def save(self, cursor: str) -> None:
        await asyncio.sleep(0.01)
        self.cursor = cursor


def test_left_loop_is_settled_before_the_next_one_begins(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)), plays(opened(1, 3), batch(2, 3), caught_up(3)))
    store = SlowStore()

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:
            async for event in client.subscribe(cursor_store=store):
                if event.position == 2:
                    break
            again = [event.position async for event in client.subscribe(cursor_store=store, stop_when_caught_up=True)]
            assert again == [2, 3]
            await is_quiet(bridge)

    asyncio.run(run())
    assert bridge.starts == ["", at(1)]


def test_left_loop_is_settled_when_the_program_ends(serve: Serve, tmp_path: Path) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.FileCursorStore(tmp_path / "cursor")

    async def run() -> None:
        client = deskbridge.Client(bridge.address)
        async for event in client.subscribe(cursor_store=store):
            if event.position == 3:
                return

    asyncio.run(run())
    assert store.load() == at(2)


def test_subscription_in_a_variable_is_ended_by_async_with(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = SlowStore()

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:
            async with client.subscribe(cursor_store=store) as events:
                assert (await anext(events)).position == 1
                assert (await anext(events)).position == 2
            assert store.cursor == at(1)
            await is_quiet(bridge)

    asyncio.run(run())


def test_cursor_is_saved_though_the_task_was_cancelled(serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = SlowStore()
    seen: list[int] = []

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:

            async def follow() -> None:
                async for event in client.subscribe(cursor_store=store):
                    seen.append(event.position)
                    if event.position == 2:
                        await asyncio.Event().wait()

            task = asyncio.ensure_future(follow())
            await until(lambda: seen == [1, 2])
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert store.cursor == at(1)

    asyncio.run(run())


def test_subscriptions_share_a_client(serve: Serve) -> None:
    bridge = serve(plays(opened(0, 2), batch(1, 2), caught_up(2)))

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:

            async def collect() -> list[int]:
                return [event.position async for event in client.subscribe(stop_when_caught_up=True)]

            assert await asyncio.gather(*[collect() for _ in range(10)]) == [[1, 2]] * 10

    asyncio.run(run())


@pytest.mark.parametrize("trouble", [cut(), stalls()], ids=["refused", "silent"])
def test_trouble_of_one_subscription_disturbs_no_other_call(serve: Serve, trouble: Script) -> None:
    bridge = serve(named={"well": stalls(opened(0, 1), batch(1)), "in trouble": trouble})
    bridge.may_answer.clear()
    causes: list[deskbridge.DeskbridgeError] = []

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:

            async def follow(name: str, interval: float, hooks: deskbridge.Hooks | None = None) -> None:
                async for _ in client.subscribe(
                    name=name, heartbeat_interval=datetime.timedelta(seconds=interval), hooks=hooks
                ):
                    pass

            hooks = deskbridge.Hooks(reconnecting=lambda cause, _: causes.append(cause))
            well = asyncio.ensure_future(follow("well", 60, hooks))
            call = asyncio.ensure_future(client.get_journal_info())
            await until(lambda: bridge.count("well") == 1 and bridge.unary_calls == 1)
            in_trouble = asyncio.ensure_future(follow("in trouble", 0.1))
            await until(lambda: bridge.count("in trouble") >= 3)
            bridge.may_answer.set()
            with pytest.raises(deskbridge.DeskbridgeError) as raised:
                await call
            assert raised.value.reason == v1.ERROR_REASON_JOURNAL_UNAVAILABLE
            assert (causes, bridge.count("well")) == ([], 1)
            for task in (well, in_trouble):
                task.cancel()
            await asyncio.wait({well, in_trouble})
            await is_quiet(bridge)

    asyncio.run(run())


def test_unary_calls(serve: Serve) -> None:
    bridge = serve(stalls())

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:
            events = [event async for event in client.list_session_events("s", timeout=30)]
            assert [(event.session_id, event.position) for event in events] == [("s", 1), ("s", 2), ("s", 3)]
            with pytest.raises(deskbridge.DeskbridgeError) as raised:
                await client.get_journal_info()
            assert raised.value.reason == v1.ERROR_REASON_JOURNAL_UNAVAILABLE
            assert raised.value.code is grpc.StatusCode.UNAVAILABLE
            assert raised.value.is_temporary

    asyncio.run(run())


def test_request_and_fields_exclude_each_other() -> None:
    client = deskbridge.Client("127.0.0.1:1")
    with pytest.raises(TypeError):
        client.subscribe(v1.SubscribeRequest(), name="crm")


def test_request_is_copied(serve: Serve) -> None:
    bridge = serve(plays(opened(0, 0), caught_up(0)))

    async def run() -> None:
        async with deskbridge.Client(bridge.address) as client:
            request = v1.SubscribeRequest(stop_when_caught_up=True)
            events = client.subscribe(request)
            request.stop_when_caught_up = False
            assert [event async for event in events] == []

    asyncio.run(run())
    assert bridge.requests[0].stop_when_caught_up
