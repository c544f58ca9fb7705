"""Drives a subscription in the thread that iterates."""

from __future__ import annotations

from collections.abc import Generator

from deskbridge.cursor import CursorStore
from deskbridge.errors import DeskbridgeError
from deskbridge.state import SubscriptionState
from deskbridge.sync_connection import SyncConnection, SyncStream
from deskbridge.v1.session_event_pb2 import SessionEvent
from deskbridge.v1.session_event_service_pb2 import SubscribeResponse


def deliver(
    connection: SyncConnection, state: SubscriptionState, store: CursorStore | None
) -> Generator[SessionEvent, None, None]:
    """Yields events until there is something to raise, or nothing more to yield."""
    saver = _Saver(state, store)
    streams = _Streams(connection, state)
    saver.load()
    try:
        while not state.finished:
            response = streams.receive()
            for event in state.take(response):
                yield event
                state.consumed(event)
                connection.check_open()  # the rest of a batch is not held against who has closed the client
                if state.save_is_due:
                    saver.save()
            state.passed(response)
            if state.save_is_due_behind(response):
                saver.save()
    finally:
        streams.close()
        saver.save()


class _Streams:
    """One stream after the other, as if they were one."""

    def __init__(self, connection: SyncConnection, state: SubscriptionState) -> None:
        self._connection = connection
        self._state = state
        self._stream: SyncStream | None = None

    def receive(self) -> SubscribeResponse:
        """Returns the next response, over as many attempts as it takes; raises only what is final."""
        while True:
            try:
                return self._receive()
            except DeskbridgeError as cause:
                self.close()
                self._connection.check_open()
                delay = self._state.ended(cause)
            self._connection.pause(delay)

    def _receive(self) -> SubscribeResponse:
        if self._stream is None:
            self._stream = self._connection.open_stream(self._state.next_request(), self._state.patience)
        try:
            return self._stream.receive()
        except DeskbridgeError as cause:
            if self._state.is_dead(cause):
                self._connection.retire(self._stream.channel)
            raise

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._connection.close_stream(stream)


class _Saver:
    """Keeps a store up to date."""

    def __init__(self, state: SubscriptionState, store: CursorStore | None) -> None:
        self._state = state
        self._store = store

    def load(self) -> None:
        if self._store is not None:
            self._state.resume(self._store.load())

    def save(self) -> None:
        if self._store is None or not self._state.is_unsaved:
            return
        cursor = self._state.cursor
        try:
            self._store.save(cursor)
        except Exception:
            self._store = None  # its failure ends the subscription, whose last save would only repeat it
            raise
        self._state.saved(cursor)
