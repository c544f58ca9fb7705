"""The state alone, where time matters."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from deskbridge import DeskbridgeError, Hooks, v1
from deskbridge.state import SubscriptionState
from scripted import batch, heartbeat, opened

UNAVAILABLE = DeskbridgeError("cut", grpc.StatusCode.UNAVAILABLE)


def test_backs_off_until_there_is_health() -> None:
    state = SubscriptionState(v1.SubscribeRequest(), Hooks())

    def delays(count: int) -> list[float]:
        return [state.ended(UNAVAILABLE) for _ in range(count)]

    def expect(seen: list[float], ceilings: list[float]) -> None:
        assert len(seen) == len(ceilings)
        for delay, ceiling in zip(seen, ceilings, strict=True):
            assert ceiling / 2 <= delay <= ceiling

    expect(delays(9), [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
    state.take(opened(0, 2))  # to be opened is not health yet
    expect(delays(1), [10])
    list(state.take(batch(1)))
    expect(delays(2), [0.1, 0.2])
    state.take(heartbeat(1, 2))
    expect(delays(1), [0.1])


@pytest.mark.parametrize(("interval", "patience"), [(None, 30), (Duration(seconds=2), 6), (Duration(), 30)])
def test_patience_is_three_heartbeats(interval: Duration | None, patience: float) -> None:
    request = v1.SubscribeRequest(heartbeat_interval=interval)
    assert SubscriptionState(request, Hooks()).patience == patience


def test_draining_delay_is_for_one_attempt() -> None:
    state = SubscriptionState(v1.SubscribeRequest(), Hooks())
    state.take(v1.SubscribeResponse(draining=v1.Draining(reconnect_delay=Duration(seconds=42))))
    assert state.ended(UNAVAILABLE) == 42
    assert state.ended(UNAVAILABLE) <= 0.1
    state.take(v1.SubscribeResponse(draining=v1.Draining()))
    assert state.ended(UNAVAILABLE) == 0.1
