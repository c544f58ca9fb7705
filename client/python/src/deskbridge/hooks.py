"""What happens around the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deskbridge.errors import DeskbridgeError
from deskbridge.v1.session_event_service_pb2 import CaughtUp, Draining, FellBehind, Heartbeat, SubscriptionOpened


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Functions that a subscription calls between two events, where the loop runs. They should return soon.

    What a hook raises ends the subscription.
    """

    connected: Callable[[SubscriptionOpened], object] | None = None
    """A stream is open, for the first time or again. It has a gap where `expired` is set."""

    caught_up: Callable[[CaughtUp], object] | None = None
    """All events there were have been delivered."""

    fell_behind: Callable[[FellBehind], object] | None = None
    """The loop takes events more slowly than they arrive. Nothing is lost."""

    heartbeat: Callable[[Heartbeat, int], object] | None = None
    """Nothing has matched for the heartbeat interval. The number is the lag: how many events of the journal, matching
    or not, the bridge has yet to look at for this stream; 0 when it is only quiet."""

    draining: Callable[[Draining], object] | None = None
    """The bridge is about to end the stream, and the client will reconnect."""

    reconnecting: Callable[[DeskbridgeError, float], object] | None = None
    """The stream ended, or could not be opened, and the next attempt comes after so many seconds."""
