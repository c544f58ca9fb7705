"""Where a subscription stands, and where to keep that over restarts of the program."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol


class CursorStore(Protocol):
    """Keeps one subscription's cursor. What either method raises ends the subscription.

    A cursor is saved after the loop has come back from the events before it, so that a crash never skips one. It
    delivers again what the loop has consumed since the last save: the events of about a second at most. To have each
    event take effect exactly once, save `format_cursor` of it in the same transaction as its effect, and subscribe with
    a store that loads it and whose `save` does nothing.

    An asyncio client calls the methods on its event loop, which waits meanwhile: see AsyncCursorStore. Only a
    FileCursorStore saves in another thread.
    """

    def load(self) -> str | None:
        """Returns the cursor saved last; None or "" when there is none."""

    def save(self, cursor: str) -> None:
        """Replaces it: at most once a second behind events, at once when the stream has caught up or is quiet, and when
        the loop ends."""


class AsyncCursorStore(Protocol):
    """A CursorStore for the asyncio client with `async def` methods, for stores behind a network.

    The last save, when the loop has ended, may take five seconds, and is made also when the task was cancelled.
    """

    def load(self) -> Awaitable[str | None]:
        """Returns the cursor saved last; None or "" when there is none."""

    def save(self, cursor: str) -> Awaitable[None]:
        """Replaces it."""


def format_cursor(epoch: str, position: int) -> str:
    """Returns the cursor behind an event: epoch is that of `Hooks.connected`, position the event's."""
    return f"{epoch}:{position}"


def position_of(cursor: str) -> int:
    """Returns the position in a cursor, 0 when it has none."""
    position = cursor.rpartition(":")[2]
    return int(position) if position.isdecimal() else 0


class MemoryCursorStore:
    """Keeps the cursor for as long as the program runs: so that a loop can be entered again where it was left."""

    def __init__(self, cursor: str = "") -> None:
        self.cursor = cursor

    def load(self) -> str:
        return self.cursor

    def save(self, cursor: str) -> None:
        self.cursor = cursor


class FileCursorStore:
    """Keeps the cursor in a file, as text. The directory must exist; the file need not. One subscription a file.

    The file is replaced as a whole and synced to disk: after a power cut it holds the cursor of the last save that
    returned, or of the one that was under way.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> str:
        try:
            return self._path.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""

    def save(self, cursor: str) -> None:
        temporary = self._path.with_name(self._path.name + ".tmp")  # always the same: kills leave no more than one
        with temporary.open("w", encoding="utf-8") as file:
            file.write(cursor + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            temporary.replace(self._path)
        except OSError:
            temporary.unlink()
            raise
        _sync_directory(self._path.parent)


def _sync_directory(path: Path) -> None:
    """Makes a rename durable: until then a power cut may bring the old file back."""
    if os.name == "nt":
        return  # Windows has no such thing
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
