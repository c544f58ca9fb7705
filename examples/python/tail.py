"""Prints every event there is, and each that arrives, for ever."""

import asyncio
import os

import deskbridge
from deskbridge import v1


async def main() -> None:
    address = os.environ.get("DESKBRIDGE_ADDR", "127.0.0.1:9090")
    async with deskbridge.Client(address) as bridge:
        async for event in bridge.subscribe(start_position=v1.START_POSITION_EARLIEST):
            print(event.position, event.type_name, event.session_id, flush=True)


asyncio.run(main())
