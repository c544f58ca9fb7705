"""Reads session events from a deskbridge, with the parts that every consumer would otherwise write for itself.

A subscription survives cuts, restarts and dead connections without a gap and without a repeat, and ends only with an
error that the application has to decide.

    async with deskbridge.Client("127.0.0.1:9090") as bridge:
        async for event in bridge.subscribe(start_position=v1.START_POSITION_EARLIEST):
            print(event.type_name, event.session_id)

`SyncClient` is the same without asyncio. The messages and enum values of the contract are in `deskbridge.v1`.
"""

from deskbridge.channel import tls_from_files, token_file
from deskbridge.client import Client
from deskbridge.cursor import AsyncCursorStore, CursorStore, FileCursorStore, MemoryCursorStore, format_cursor
from deskbridge.errors import ClosedError, DeskbridgeError, SilentError
from deskbridge.hooks import Hooks
from deskbridge.subscription import Subscription
from deskbridge.sync import SyncClient

__all__ = [
    "AsyncCursorStore",
    "Client",
    "ClosedError",
    "CursorStore",
    "DeskbridgeError",
    "FileCursorStore",
    "Hooks",
    "MemoryCursorStore",
    "SilentError",
    "Subscription",
    "SyncClient",
    "format_cursor",
    "tls_from_files",
    "token_file",
]
