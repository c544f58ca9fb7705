"""A bridge that plays scripts, on a real gRPC server: its threads don't mind what the event loop of a test does."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import status_pb2

from deskbridge import v1
from deskbridge.v1.session_event_service_pb2_grpc import (
    SessionEventServiceServicer,
    add_SessionEventServiceServicer_to_server,
)


@dataclass
class Script:
    """What one stream sends, and how it ends: with a status, by stalling, or with OK."""

    responses: list[v1.SubscribeResponse] = field(default_factory=list)
    code: grpc.StatusCode = grpc.StatusCode.OK
    detail: v1.ErrorDetail | None = None
    stalls: bool = False


def plays(*responses: v1.SubscribeResponse) -> Script:
    return Script(list(responses))


def stalls(*responses: v1.SubscribeResponse) -> Script:
    return Script(list(responses), stalls=True)


def fails(code: grpc.StatusCode, *responses: v1.SubscribeResponse, detail: v1.ErrorDetail | None = None) -> Script:
    return Script(list(responses), code, detail)


def cut(*responses: v1.SubscribeResponse) -> Script:
    """As by the network."""
    return fails(grpc.StatusCode.UNAVAILABLE, *responses)


def at(position: int) -> str:
    return f"e1:{position}"


def opened(start: int, head: int) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(
        cursor=at(start), opened=v1.SubscriptionOpened(epoch="e1", start_position=start, head_position=head)
    )


def batch(*positions: int) -> v1.SubscribeResponse:
    events = [v1.SessionEvent(id=f"id-{p}", position=p) for p in positions]
    return v1.SubscribeResponse(cursor=at(positions[-1]), events=v1.EventBatch(events=events))


def heartbeat(position: int, head: int) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor=at(position), heartbeat=v1.Heartbeat(head_position=head))


def caught_up(head: int) -> v1.SubscribeResponse:
    return v1.SubscribeResponse(cursor=at(head), caught_up=v1.CaughtUp(head_position=head))


def abort(context: grpc.ServicerContext, code: grpc.StatusCode, detail: v1.ErrorDetail | None) -> None:
    message = "scripted"
    if detail is not None:
        packed = Any()
        packed.Pack(detail)
        status = status_pb2.Status(code=code.value[0], message=message, details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


class ScriptedBridge(SessionEventServiceServicer):
    """Answers each Subscribe call with the next script, and the calls after the last with that one again.

    named: for subscriptions of these names, however often they call.
    """

    def __init__(
        self,
        *scripts: Script,
        named: Mapping[str, Script] | None = None,
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.scripts = scripts
        self.named = named or {}
        self.may_answer = threading.Event()
        """Unset, unary calls wait."""
        self.may_answer.set()
        self.unary_calls = 0
        self.requests: list[v1.SubscribeRequest] = []
        self.tokens: list[str | bytes] = []
        self.open_streams = 0
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        add_SessionEventServiceServicer_to_server(self, self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    @property
    def starts(self) -> list[str]:
        """The cursors that streams were opened after."""
        return [request.after_cursor for request in self.requests]

    def count(self, name: str) -> int:
        """How often the subscription of a name has called."""
        return sum(request.name == name for request in tuple(self.requests))

    def stop(self) -> None:
        self.may_answer.set()
        self._server.stop(None).wait()

    def Subscribe(  # noqa: N802
        self, request: v1.SubscribeRequest, context: grpc.ServicerContext
    ) -> Iterator[v1.SubscribeResponse]:
        script = self._take(request, context)
        ended = threading.Event()
        if context.add_callback(lambda: self._end(ended)):
            yield from script.responses
            if script.stalls:
                ended.wait()
            elif script.code is not grpc.StatusCode.OK:
                abort(context, script.code, script.detail)

    def ListSessionEvents(  # noqa: N802
        self, request: v1.ListSessionEventsRequest, context: grpc.ServicerContext
    ) -> v1.ListSessionEventsResponse:
        """Three events of session "s", two a page."""
        if request.page_token:
            return v1.ListSessionEventsResponse(events=[v1.SessionEvent(position=3, session_id=request.session_id)])
        first = [v1.SessionEvent(position=p, session_id=request.session_id) for p in (1, 2)]
        return v1.ListSessionEventsResponse(events=first, next_page_token="more")  # noqa: S106

    def GetJournalInfo(  # noqa: N802
        self, request: v1.GetJournalInfoRequest, context: grpc.ServicerContext
    ) -> v1.GetJournalInfoResponse:
        self.unary_calls += 1
        self.may_answer.wait()
        detail = v1.ErrorDetail(reason=v1.ERROR_REASON_JOURNAL_UNAVAILABLE)
        abort(context, grpc.StatusCode.UNAVAILABLE, detail)
        raise AssertionError("abort raises")

    def _take(self, request: v1.SubscribeRequest, context: grpc.ServicerContext) -> Script:
        with self._lock:
            self.open_streams += 1
            self.requests.append(request)
            self.tokens += [value for key, value in context.invocation_metadata() if key == "authorization"]
            if request.name in self.named:
                return self.named[request.name]
            return self.scripts[min(len(self.requests), len(self.scripts)) - 1]

    def _end(self, ended: threading.Event) -> None:
        with self._lock:
            self.open_streams -= 1
        ended.set()
