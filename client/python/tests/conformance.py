"""Follows one subscription for the conformance suite, which starts it and talks lines of JSON.

With the argument "sync" it does so with the blocking client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from typing import Any

from google.protobuf import json_format

import deskbridge
from deskbridge import v1


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def state(name: str, **fields: Any) -> None:
    say({"state": name, **fields})


HOOKS = deskbridge.Hooks(
    connected=lambda opened: state(
        "connected", epoch=opened.epoch, start=str(opened.start_position), head=str(opened.head_position)
    ),
    caught_up=lambda caught_up: state("caught_up", head=str(caught_up.head_position)),
    fell_behind=lambda behind: state("fell_behind", head=str(behind.head_position), lag=str(behind.lag)),
    heartbeat=lambda _, lag: state("heartbeat", lag=str(lag)),
    draining=lambda draining: state("draining", delayMs=draining.reconnect_delay.ToMilliseconds()),
    reconnecting=lambda cause, delay: state("reconnecting", reason=cause.reason_name, delayMs=round(delay * 1000)),
)


class Order:
    """What to do."""

    def __init__(self, line: bytes) -> None:
        self._order = json.loads(line)
        self.address = self._order["address"]
        self.token = self._order.get("token") or None
        self.request = json_format.ParseDict(self._order.get("request") or {}, v1.SubscribeRequest())
        self.beside = None
        if self._order.get("beside"):
            self.beside = json_format.ParseDict(self._order["beside"], v1.SubscribeRequest())
        file = self._order.get("cursorFile")
        self.store = deskbridge.FileCursorStore(file) if file else None
        self.delay = self._order.get("delayMs", 0) / 1000
        self._limit: int = self._order.get("limit", 0)
        self._handed = 0

    def take(self, event: v1.SessionEvent) -> bool:
        """Returns whether to leave the loop."""
        if self._order.get("print") == "positions":
            say({"at": [str(event.position), event.id]})
        else:
            say({"event": json_format.MessageToDict(event)})
        self._handed += 1
        return self._handed == self._limit


async def ignore(bridge: deskbridge.Client, request: v1.SubscribeRequest) -> None:
    async for _ in bridge.subscribe(request):
        pass


async def follow(order: Order) -> str:
    """Returns why the loop ended, where that was no error."""
    async with deskbridge.Client(order.address, token=order.token) as bridge, contextlib.AsyncExitStack() as ends:
        if order.beside:
            beside = asyncio.ensure_future(ignore(bridge, order.beside))
            ends.push_async_callback(asyncio.wait, {beside})
            ends.callback(beside.cancel)
        async for event in bridge.subscribe(order.request, cursor_store=order.store, hooks=HOOKS):
            if order.take(event):
                return "left"
            await asyncio.sleep(order.delay)
    return "finished"


def follow_blocking(order: Order, stdin: int) -> str:
    with deskbridge.SyncClient(order.address, token=order.token) as bridge:

        def close_when_told() -> None:
            os.read(stdin, 1)
            bridge.close()

        def ignore(request: v1.SubscribeRequest) -> None:
            with contextlib.suppress(deskbridge.ClosedError):
                for _ in bridge.subscribe(request):
                    pass

        threading.Thread(target=close_when_told, daemon=True).start()
        if order.beside:
            threading.Thread(target=ignore, args=(order.beside,)).start()
        for event in bridge.subscribe(order.request, cursor_store=order.store, hooks=HOOKS):
            if order.take(event):
                return "left"
            time.sleep(order.delay)
    return "finished"


def end_of(error: BaseException) -> dict[str, Any]:
    if isinstance(error, asyncio.CancelledError | deskbridge.ClosedError):
        return {"cause": "cancelled"}
    if not isinstance(error, deskbridge.DeskbridgeError):
        return {"cause": "error", "message": repr(error)}
    return {
        "cause": "error",
        "reason": error.reason_name or "UNSPECIFIED",
        "code": error.code.name,
        "field": error.field,
        "earliestCursor": error.earliest_cursor,
        "latestCursor": error.latest_cursor,
        "message": error.message,
    }


async def follow_until_told(order: Order, stdin: asyncio.StreamReader) -> dict[str, Any]:
    following = asyncio.ensure_future(follow(order))
    cancelling = asyncio.ensure_future(stdin.readline())
    await asyncio.wait({following, cancelling}, return_when=asyncio.FIRST_COMPLETED)
    following.cancel()
    cancelling.cancel()
    try:
        return {"cause": await following}
    except (Exception, asyncio.CancelledError) as error:
        return end_of(error)


async def main() -> None:
    stdin = asyncio.StreamReader(limit=64 << 20)
    protocol = asyncio.StreamReaderProtocol(stdin)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    order = Order(await stdin.readline())
    say({"end": await follow_until_told(order, stdin)})
    transport.close()


def main_blocking() -> None:
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        order = Order(stdin.readline())
    try:
        say({"end": {"cause": follow_blocking(order, 0)}})
    except Exception as error:
        say({"end": end_of(error)})


if __name__ == "__main__":
    if sys.argv[1:] == ["sync"]:
        main_blocking()
    else:
        asyncio.run(main())
