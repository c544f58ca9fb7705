"""What a subscription knows, without I/O: the asyncio client and the blocking one drive the same state.

For each response a driver hands on the events of `take`, calls `consumed` when the loop comes back from one, and
`passed` behind the last. When a stream ends it waits for what `ended` says, and opens another with `next_request`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator

import grpc

from deskbridge.cursor import format_cursor, position_of
from deskbridge.errors import DeskbridgeError, SilentError
from deskbridge.hooks import Hooks
from deskbridge.v1.error_pb2 import ERROR_REASON_UNSPECIFIED
from deskbridge.v1.session_event_pb2 import SessionEvent
from deskbridge.v1.session_event_service_pb2 import Heartbeat, SubscribeRequest, SubscribeResponse, SubscriptionOpened

MIN_BACKOFF = 0.1
MAX_BACKOFF = 10.0

_DEFAULT_HEARTBEAT = 10.0
_MISSED_HEARTBEATS = 3

# How often a cursor is saved behind events, in seconds: the store may sync a disk each time, and a busy stream has
# thousands of batches a second.
_SAVE_INTERVAL = 1.0


class Backoff:
    """Paces attempts: from MIN_BACKOFF, doubling, to MAX_BACKOFF seconds.

    Each delay is drawn from the upper half of its range, so that clients cut by one restart don't come back as one.
    """

    def __init__(self) -> None:
        self._ceiling = 0.0

    def next(self) -> float:
        self._ceiling = min(max(self._ceiling * 2, MIN_BACKOFF), MAX_BACKOFF)
        return random.uniform(self._ceiling / 2, self._ceiling)  # noqa: S311 (nothing to guess)

    def reset(self) -> None:
        self._ceiling = 0.0


class SubscriptionState:
    """The state that outlives a stream. One task or thread uses it: the one that iterates."""

    def __init__(self, request: SubscribeRequest, hooks: Hooks) -> None:
        self._request = request
        self._hooks = hooks
        self._backoff = Backoff()
        self._asked_delay: float | None = None
        self._opened = False
        self._epoch = ""
        # Of the last event consumed, or of the cursor where that is ahead. Events up to it are repeats.
        self._position = 0
        self._saved_cursor = ""
        self._saved_at = float("-inf")
        self.cursor = ""
        """Where to resume: behind all that has been consumed."""
        self.finished = False
        """There is nothing more to deliver."""

    @property
    def patience(self) -> float:
        """How many seconds a stream may be silent before it counts as dead."""
        heartbeat = self._request.heartbeat_interval.ToTimedelta().total_seconds()
        return _MISSED_HEARTBEATS * (heartbeat if heartbeat > 0 else _DEFAULT_HEARTBEAT)

    def resume(self, cursor: str | None) -> None:
        """Starts behind a stored cursor, which goes before the request's start."""
        self._advance(cursor or "")
        self.saved(self.cursor)
        self._saved_at = float("-inf")

    def next_request(self) -> SubscribeRequest:
        self._opened = False
        if not self.cursor:
            return self._request
        request = SubscribeRequest()
        request.CopyFrom(self._request)
        request.after_cursor = self.cursor
        return request

    def take(self, response: SubscribeResponse) -> Iterable[SessionEvent]:
        """Returns the events that are new. Each must be `consumed` before the next is asked for."""
        self._opened = True
        kind = response.WhichOneof("kind")
        if kind == "events":
            self._backoff.reset()
            return self._unseen(response.events.events)
        if kind == "opened":
            self._open(response.opened)
        elif kind == "heartbeat":
            self._beat(response.heartbeat, response.cursor)
        elif kind == "caught_up" and self._hooks.caught_up:
            self._hooks.caught_up(response.caught_up)
        elif kind == "fell_behind" and self._hooks.fell_behind:
            self._hooks.fell_behind(response.fell_behind)
        elif kind == "draining":
            self._drain(response)
        return ()

    def consumed(self, event: SessionEvent) -> None:
        self._position = event.position
        self.cursor = format_cursor(self._epoch, event.position)

    def passed(self, response: SubscribeResponse) -> None:
        self._advance(response.cursor)
        if self._request.stop_when_caught_up and response.HasField("caught_up"):
            self.finished = True

    def ended(self, cause: DeskbridgeError) -> float:
        """Returns the seconds to wait before the next attempt, or raises the cause when the application must decide."""
        if not cause.is_temporary:
            raise cause
        delay = self._asked_delay or self._backoff.next()
        self._asked_delay = None
        if self._hooks.reconnecting:
            self._hooks.reconnecting(cause, delay)
        return delay

    def is_dead(self, cause: DeskbridgeError) -> bool:
        """Whether the next attempt needs a connection of its own, for this one is dead or can't be made.

        One whose far end vanished without a word looks healthy for as long as TCP keeps trying: a new stream on it
        would be as silent as the old one. And one that could not be made waits out gRPC's own backoff, and fails all
        calls meanwhile, although the bridge may be back.
        """
        if isinstance(cause, SilentError):
            return True
        is_foreign = cause.reason == ERROR_REASON_UNSPECIFIED and cause.code is grpc.StatusCode.UNAVAILABLE
        return is_foreign and not self._opened

    @property
    def is_unsaved(self) -> bool:
        return self.cursor != self._saved_cursor

    @property
    def save_is_due(self) -> bool:
        """All that is not saved was consumed within that time after the last save: a crash repeats no more."""
        return time.monotonic() - self._saved_at >= _SAVE_INTERVAL

    def save_is_due_behind(self, response: SubscribeResponse) -> bool:
        """At once behind what is not events, and rare: the stream has caught up, or is quiet."""
        return self.save_is_due or not response.HasField("events")

    def saved(self, cursor: str) -> None:
        self._saved_cursor, self._saved_at = cursor, time.monotonic()

    def _unseen(self, events: Iterable[SessionEvent]) -> Iterator[SessionEvent]:
        for event in events:
            if event.position > self._position:
                yield event

    def _open(self, opened: SubscriptionOpened) -> None:
        self._epoch = opened.epoch
        self._position = max(self._position, opened.start_position)
        if self._hooks.connected:
            self._hooks.connected(opened)

    def _beat(self, heartbeat: Heartbeat, cursor: str) -> None:
        self._backoff.reset()
        if self._hooks.heartbeat:
            self._hooks.heartbeat(heartbeat, max(heartbeat.head_position - position_of(cursor), 0))

    def _drain(self, response: SubscribeResponse) -> None:
        delay = response.draining.reconnect_delay.ToTimedelta().total_seconds()
        self._asked_delay = max(delay, MIN_BACKOFF)
        if self._hooks.draining:
            self._hooks.draining(response.draining)

    def _advance(self, cursor: str) -> None:
        if cursor:
            self.cursor, self._position = cursor, max(self._position, position_of(cursor))
