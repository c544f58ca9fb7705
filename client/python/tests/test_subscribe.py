"""A subscription under all the troubles there are, with both clients."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

import deskbridge
from conftest import Collect, Serve, batch_request
from deskbridge import v1
from scripted import (
    Script,
    ScriptedBridge,
    at,
    batch,
    caught_up,
    cut,
    fails,
    heartbeat,
    opened,
    plays,
    stalls,
)
from vanishing import VanishingLink

SLOW_READER = v1.ErrorDetail(reason=v1.ERROR_REASON_SLOW_READER, resume_cursor=at(2))
NEWER = v1.SubscribeResponse(cursor=at(3))
DRAINING = v1.SubscribeResponse(cursor=at(1), draining=v1.Draining(reconnect_delay=Duration(nanos=300_000_000)))

DONE = caught_up(4)

RESUMES: dict[str, tuple[list[Script], list[str], list[int]]] = {
    "no trouble": ([plays(opened(0, 4), batch(1, 2), batch(3, 4), DONE)], [""], [1, 2, 3, 4]),
    "cut by the network": (
        [cut(opened(0, 4), batch(1, 2)), plays(opened(2, 4), batch(3, 4), DONE)],
        ["", at(2)],
        [1, 2, 3, 4],
    ),
    "ended without an error": (
        [plays(opened(0, 4), batch(1, 2, 3)), plays(opened(3, 4), batch(4), DONE)],
        ["", at(3)],
        [1, 2, 3, 4],
    ),
    "cut before anything came": (
        [cut(), plays(opened(0, 4), batch(1, 2, 3, 4), DONE)],
        ["", ""],
        [1, 2, 3, 4],
    ),
    "cut right after the opening": (
        [cut(opened(0, 4)), plays(opened(0, 4), batch(1, 2, 3, 4), DONE)],
        ["", at(0)],
        [1, 2, 3, 4],
    ),
    "repeats": (
        [cut(opened(0, 4), batch(1, 2, 3)), plays(opened(0, 4), batch(2, 3, 4), batch(4, 4), DONE)],
        ["", at(3)],
        [1, 2, 3, 4],
    ),
    "a heartbeat's cursor": (
        [cut(opened(0, 90), batch(1, 2, 3), heartbeat(70, 90)), plays(opened(70, 90), batch(80), caught_up(90))],
        ["", at(70)],
        [1, 2, 3, 80],
    ),
    "a kind that is newer than the client": (
        [cut(opened(0, 4), batch(1, 2), NEWER), plays(opened(3, 4), batch(4), DONE)],
        ["", at(3)],
        [1, 2, 4],
    ),
    "too slow": (
        [
            fails(grpc.StatusCode.ABORTED, opened(0, 4), batch(1, 2), detail=SLOW_READER),
            plays(opened(2, 4), batch(3, 4), DONE),
        ],
        ["", at(2)],
        [1, 2, 3, 4],
    ),
    "silent": (
        [stalls(opened(0, 4), batch(1, 2)), plays(opened(2, 4), batch(3, 4), DONE)],
        ["", at(2)],
        [1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize(("scripts", "starts", "events"), RESUMES.values(), ids=RESUMES.keys())
def test_resumes_behind_what_was_consumed(
    collect: Collect, serve: Serve, scripts: list[Script], starts: list[str], events: list[int]
) -> None:
    bridge = serve(*scripts)
    request = batch_request(heartbeat_interval=datetime.timedelta(seconds=0.3 if scripts[0].stalls else 10))
    assert collect(bridge.address, request) == events
    assert bridge.starts == starts


def test_asks_for_the_same_again(collect: Collect, serve: Serve) -> None:
    bridge = serve(cut(opened(0, 1), batch(1)), plays(opened(1, 1), caught_up(1)))
    request = batch_request(
        filter=v1.EventFilter(type_names=["Human.*"]),
        start_position=v1.START_POSITION_EARLIEST,
        on_expired=v1.ON_EXPIRED_EARLIEST,
    )
    before = request.SerializeToString()
    collect(bridge.address, request)
    again = v1.SubscribeRequest.FromString(before)
    again.after_cursor = at(1)
    assert bridge.requests == [v1.SubscribeRequest.FromString(before), again]
    assert request.SerializeToString() == before


def test_waits_as_long_as_a_draining_bridge_asks(collect: Collect, serve: Serve) -> None:
    bridge = serve(plays(opened(0, 3), batch(1), DRAINING, batch(2)), plays(opened(2, 3), batch(3), caught_up(3)))
    told: list[float] = []
    hooks = deskbridge.Hooks(
        draining=lambda draining: told.append(draining.reconnect_delay.ToMilliseconds() / 1000),
        reconnecting=lambda _, delay: told.append(delay),
    )
    began = time.monotonic()
    assert collect(bridge.address, hooks=hooks) == [1, 2, 3]
    assert time.monotonic() - began >= 0.3
    assert told == [0.3, 0.3]


def test_lets_the_loop_take_its_time(collect: Collect, serve: Serve) -> None:
    bridge = serve(plays(opened(0, 1), batch(1), heartbeat(1, 1), caught_up(1)))
    request = batch_request(heartbeat_interval=datetime.timedelta(seconds=0.5))
    assert collect(bridge.address, request, on_event=lambda _: time.sleep(2)) == [1]
    assert len(bridge.requests) == 1


FINAL = {
    "REQUEST_INVALID": grpc.StatusCode.INVALID_ARGUMENT,
    "FILTER_INVALID": grpc.StatusCode.INVALID_ARGUMENT,
    "CURSOR_MALFORMED": grpc.StatusCode.INVALID_ARGUMENT,
    "CURSOR_EXPIRED": grpc.StatusCode.OUT_OF_RANGE,
    "CURSOR_IN_FUTURE": grpc.StatusCode.OUT_OF_RANGE,
    "CURSOR_FOREIGN_EPOCH": grpc.StatusCode.FAILED_PRECONDITION,
    "NOT_SERVED": grpc.StatusCode.UNIMPLEMENTED,
    "JOURNAL_DAMAGED": grpc.StatusCode.DATA_LOSS,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
    "NOT_FOUND": grpc.StatusCode.NOT_FOUND,
}


@pytest.mark.parametrize(("reason", "code"), FINAL.items(), ids=FINAL.keys())
def test_ends_where_the_application_must_decide(
    collect: Collect, serve: Serve, reason: str, code: grpc.StatusCode
) -> None:
    detail = v1.ErrorDetail(
        reason=v1.ErrorReason.Value("ERROR_REASON_" + reason),
        field="after_cursor",
        earliest_cursor=at(10),
        latest_cursor=at(20),
        resume_cursor=at(5),
    )
    bridge = serve(fails(code, opened(0, 1), batch(1), detail=detail))
    seen: list[int] = []
    with pytest.raises(deskbridge.DeskbridgeError) as raised:
        collect(bridge.address, on_event=lambda event: seen.append(event.position))
    error = raised.value
    assert (error.reason, error.reason_name, error.code, error.message) == (detail.reason, reason, code, "scripted")
    assert (error.field, error.earliest_cursor, error.latest_cursor) == ("after_cursor", at(10), at(20))
    assert error.resume_cursor == at(5)
    assert str(error) == f"{reason}: scripted"
    assert not error.is_temporary
    assert (seen, len(bridge.requests)) == ([1], 1)


def test_ends_with_a_final_code_of_a_proxy(collect: Collect, serve: Serve) -> None:
    bridge = serve(fails(grpc.StatusCode.PERMISSION_DENIED))
    with pytest.raises(deskbridge.DeskbridgeError) as raised:
        collect(bridge.address)
    assert (raised.value.reason, raised.value.reason_name) == (v1.ERROR_REASON_UNSPECIFIED, "")


TEMPORARY = {
    "draining": (grpc.StatusCode.UNAVAILABLE, v1.ERROR_REASON_DRAINING),
    "journal unavailable": (grpc.StatusCode.UNAVAILABLE, v1.ERROR_REASON_JOURNAL_UNAVAILABLE),
    "limit": (grpc.StatusCode.RESOURCE_EXHAUSTED, v1.ERROR_REASON_LIMIT_EXCEEDED),
    "fault": (grpc.StatusCode.INTERNAL, v1.ERROR_REASON_INTERNAL),
    "stream reset by a proxy": (grpc.StatusCode.CANCELLED, None),
    "a proxy's error page": (grpc.StatusCode.UNKNOWN, None),
    "a proxy's timeout": (grpc.StatusCode.DEADLINE_EXCEEDED, None),
    "newer reason": (grpc.StatusCode.UNAVAILABLE, v1.ErrorReason.ValueType(4711)),
}


@pytest.mark.parametrize(("code", "reason"), TEMPORARY.values(), ids=TEMPORARY.keys())
def test_mends_what_is_temporary(
    collect: Collect, serve: Serve, code: grpc.StatusCode, reason: v1.ErrorReason.ValueType | None
) -> None:
    detail = None if reason is None else v1.ErrorDetail(reason=reason)
    bridge = serve(fails(code, opened(0, 1), detail=detail), plays(opened(0, 1), batch(1), caught_up(1)))
    causes: list[grpc.StatusCode] = []
    hooks = deskbridge.Hooks(reconnecting=lambda cause, _: causes.append(cause.code))
    assert collect(bridge.address, hooks=hooks) == [1]
    assert causes == [code]


def test_tells_its_hooks(collect: Collect, serve: Serve) -> None:
    fell_behind = v1.SubscribeResponse(cursor=at(2), fell_behind=v1.FellBehind(head_position=9, lag=7))
    bridge = serve(plays(opened(0, 5), heartbeat(2, 9), heartbeat(9, 9), fell_behind, caught_up(9)))
    told: list[object] = []
    hooks = deskbridge.Hooks(
        connected=lambda o: told.extend([o.epoch, o.head_position]),
        heartbeat=lambda _, lag: told.append(lag),
        fell_behind=lambda f: told.append(f.lag),
        caught_up=lambda c: told.append(c.head_position),
    )
    assert collect(bridge.address, hooks=hooks) == []
    assert told == ["e1", 5, 7, 0, 7, 9]


def test_leaves_a_connection_that_vanished(
    collect: Collect, serve: Serve, link_to: Callable[[int], VanishingLink]
) -> None:
    bridge = serve(stalls(opened(0, 2), batch(1)), plays(opened(1, 2), batch(2), caught_up(2)))
    link = link_to(bridge.port)
    causes: list[deskbridge.DeskbridgeError] = []
    request = batch_request(heartbeat_interval=datetime.timedelta(seconds=0.5))
    positions = collect(
        link.address,
        request,
        on_event=lambda event: link.vanish() if event.position == 1 else None,
        hooks=deskbridge.Hooks(reconnecting=lambda cause, _: causes.append(cause)),
    )
    assert positions == [1, 2]
    assert link.accepted >= 2
    # Once, but on a machine so slow that a good stream seems silent. On the old connection it would be dozens of times.
    assert 1 <= len(causes) <= 5
    assert isinstance(causes[0], deskbridge.SilentError)


def test_outlives_a_restart_at_its_own_pace(collect: Collect, serve: Serve) -> None:
    first = serve(stalls(opened(0, 2), batch(1)))
    again: list[ScriptedBridge] = []
    causes: list[deskbridge.DeskbridgeError] = []

    def reconnecting(cause: deskbridge.DeskbridgeError, _: float) -> None:
        causes.append(cause)
        if len(causes) == 4:  # after the cut, and three connections that were refused
            again.append(serve(plays(opened(1, 2), batch(2), caught_up(2)), port=first.port))

    positions = collect(
        first.address,
        on_event=lambda event: first.stop() if event.position == 1 else None,
        hooks=deskbridge.Hooks(reconnecting=reconnecting),
    )
    assert positions == [1, 2]
    assert again[0].starts == [at(1)]
    # gRPC paces its dials by itself and fails all calls in between: left to that, this would be more than four.
    assert [cause.code for cause in causes] == [grpc.StatusCode.UNAVAILABLE] * 4


def test_what_a_hook_raises_ends_it(collect: Collect, serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 2), batch(1)))

    def fail(_: object) -> None:
        raise LookupError("hook")

    with pytest.raises(LookupError, match="hook"):
        collect(bridge.address, hooks=deskbridge.Hooks(connected=fail))
