"""Follows one subscription for the conformance suite, which starts it and talks lines of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
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


async def follow(order: dict[str, Any]) -> str:
    """Returns why the loop ended, where that was no error."""
    request = json_format.ParseDict(order.get("request") or {}, v1.SubscribeRequest())
    store = deskbridge.FileCursorStore(order["cursorFile"]) if order.get("cursorFile") else None
    handed = 0
    async with deskbridge.Client(order["address"], token=order.get("token") or None) as bridge:
        async for event in bridge.subscribe(request, cursor_store=store, hooks=HOOKS):
            if order.get("print") == "positions":
                say({"at": [str(event.position), event.id]})
            else:
                say({"event": json_format.MessageToDict(event)})
            handed += 1
            if handed == order.get("limit"):
                return "left"
            if order.get("delayMs"):
                await asyncio.sleep(order["delayMs"] / 1000)
    return "finished"


async def follow_until_told(order: dict[str, Any], stdin: asyncio.StreamReader) -> dict[str, Any]:
    following = asyncio.ensure_future(follow(order))
    cancelling = asyncio.ensure_future(stdin.readline())
    await asyncio.wait({following, cancelling}, return_when=asyncio.FIRST_COMPLETED)
    following.cancel()
    cancelling.cancel()
    try:
        return {"cause": await following}
    except asyncio.CancelledError:
        return {"cause": "cancelled"}
    except deskbridge.DeskbridgeError as error:
        return {
            "cause": "error",
            "reason": error.reason_name or "UNSPECIFIED",
            "code": error.code.name,
            "field": error.field,
            "earliestCursor": error.earliest_cursor,
            "latestCursor": error.latest_cursor,
            "message": error.message,
        }
    except Exception as error:
        return {"cause": "error", "message": repr(error)}


async def main() -> None:
    stdin = asyncio.StreamReader(limit=64 << 20)
    protocol = asyncio.StreamReaderProtocol(stdin)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    order = json.loads(await stdin.readline())
    say({"end": await follow_until_told(order, stdin)})
    transport.close()


if __name__ == "__main__":
    asyncio.run(main())
