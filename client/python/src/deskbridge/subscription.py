"""Drives a subscription on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from types import TracebackType

from typing_extensions import Self

from deskbridge.connection import Connection, Stream
from deskbridge.cursor import AsyncCursorStore, CursorStore, FileCursorStore
from deskbridge.errors import DeskbridgeError
from deskbridge.state import SubscriptionState
from deskbridge.v1.session_event_pb2 import SessionEvent
from deskbridge.v1.session_event_service_pb2 import SubscribeResponse

# Bounds the save after the loop, in seconds.
_FINAL_SAVE_TIMEOUT = 5.0


class Subscription(AsyncIterator[SessionEvent]):
    """The events of one subscription, for one `async for`.

    It ends when its loop is left, and saves its cursor then; where the store's methods are coroutines, a task does so
    soon, and the client's `close` and the next `subscribe` wait for it. Where the subscription outlives its loop, in a
    variable, use `async with` on it, or `aclose`.

    To be cancelled while it waits ends it, too, and `asyncio.wait_for(anext(events), …)` cancels at its timeout. To
    wait for a limited time, keep the task: `asyncio.wait({task}, timeout=…)` leaves it running.
    """

    def __init__(
        self,
        connection: Connection,
        endings: Endings,
        state: SubscriptionState,
        store: CursorStore | AsyncCursorStore | None,
    ) -> None:
        self._saver = _Saver(state, store)
        self._events = _deliver(connection, endings, state, self._saver)
        self._endings = endings
        self._was_cancelled = False

    async def __anext__(self) -> SessionEvent:
        try:
            return await self._events.__anext__()
        except asyncio.CancelledError:
            self._was_cancelled = True
            raise
        except StopAsyncIteration:
            if self._was_cancelled:  # or what was cut short would look like the last event there is
                raise RuntimeError("the subscription has ended: a wait for its next event was cancelled") from None
            raise

    async def aclose(self) -> None:
        """Ends the subscription, if it has not ended. Not while another task waits for its next event: cancel that."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._saver.save_plainly()
        self._endings.end(self._events)


class Endings:
    """What is left to do for subscriptions whose loops were left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, events: AsyncGenerator[SessionEvent, None]) -> None:
        """Called by the garbage collector. Where no loop runs, asyncio itself closes the generator."""
        with contextlib.suppress(RuntimeError):
            task = asyncio.get_running_loop().create_task(_close(events))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _close(events: AsyncGenerator[SessionEvent, None]) -> None:
    await events.aclose()


async def _deliver(
    connection: Connection,
    endings: Endings,
    state: SubscriptionState,
    saver: _Saver,
) -> AsyncGenerator[SessionEvent, None]:
    """Yields events until there is something to raise, or nothing more to yield."""
    await endings.settle()  # a loop that was left a moment ago may have this very store
    streams = _Streams(connection, state)
    await saver.load()
    try:
        while not state.finished:
            response = await streams.receive()
            for event in state.take(response):
                yield event
                state.consumed(event)
                connection.check_open()  # the rest of a batch is not held against who has closed the client
                if state.save_is_due:
                    await saver.save()
            state.passed(response)
            if state.save_is_due_behind(response):
                await saver.save()
    finally:
        try:
            await streams.close()
        finally:
            await asyncio.wait_for(saver.save(), _FINAL_SAVE_TIMEOUT)


class _Streams:
    """One stream after the other, as if they were one."""

    def __init__(self, connection: Connection, state: SubscriptionState) -> None:
        self._connection = connection
        self._state = state
        self._stream: Stream | None = None

    async def receive(self) -> SubscribeResponse:
        """Returns the next response, over as many attempts as it takes; raises only what is final."""
        while True:
            try:
                return await self._receive()
            except DeskbridgeError as cause:
                await self.close()
                self._connection.check_open()
                delay = self._state.ended(cause)
            await self._connection.pause(delay)

    async def _receive(self) -> SubscribeResponse:
        patience = self._state.patience
        if self._stream is None:
            self._stream = await self._connection.open_stream(self._state.next_request(), patience)
        try:
            return await self._stream.receive(patience)
        except DeskbridgeError as cause:
            if self._state.is_dead(cause):
                self._connection.retire(self._stream.channel)
            raise

    async def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await self._connection.close_stream(stream)


async def _in_thread(save: Callable[[str], None], cursor: str) -> None:
    """Keeps the loop running while the disk is waited for. When cancelled it waits, too: a later save must be later."""
    saving = asyncio.ensure_future(asyncio.to_thread(save, cursor))
    try:
        await asyncio.shield(saving)
    finally:
        await asyncio.wait({saving})


class _Saver:
    """Keeps a store up to date, plain or asynchronous."""

    def __init__(self, state: SubscriptionState, store: CursorStore | AsyncCursorStore | None) -> None:
        self._state = state
        self._store = store

    async def load(self) -> None:
        if self._store is not None:
            cursor = self._store.load()
            self._state.resume(await cursor if inspect.isawaitable(cursor) else cursor)

    async def save(self) -> None:
        if self._store is None or not self._state.is_unsaved:
            return
        cursor = self._state.cursor
        with self._giving_up():
            if isinstance(self._store, FileCursorStore):
                await _in_thread(self._store.save, cursor)
            elif (saving := self._store.save(cursor)) is not None:
                await saving
        self._state.saved(cursor)

    def save_plainly(self) -> None:
        """Saves at once, for the garbage collector. Does nothing where that takes a coroutine."""
        if self._store is None or not self._state.is_unsaved or inspect.iscoroutinefunction(self._store.save):
            return
        with self._giving_up():
            self._store.save(self._state.cursor)
        self._state.saved(self._state.cursor)

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """A failure ends the subscription, whose last save would only repeat it."""
        try:
            yield
        except Exception:
            self._store = None
            raise
