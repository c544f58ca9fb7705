"""The blocking client's connection, which all its calls share and which is replaced when it is dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import grpc

from deskbridge.channel import Endpoint, Metadata, bearer
from deskbridge.channels import Channels
from deskbridge.errors import ClosedError, SilentError, ended, from_rpc, unavailable
from deskbridge.v1.session_event_service_pb2 import SubscribeRequest, SubscribeResponse
from deskbridge.v1.session_event_service_pb2_grpc import SessionEventServiceStub

T = TypeVar("T")


class SubscribeCall(Protocol):
    """What gRPC returns has no public type."""

    def __next__(self) -> SubscribeResponse: ...

    def cancel(self) -> object: ...


class SyncStream:
    """One Subscribe call, the channel that it uses, and a thread that cancels it when it is silent for too long."""

    def __init__(self, channel: grpc.Channel, call: SubscribeCall, patience: float) -> None:
        self.channel = channel
        self._call = call
        self._patience = patience
        # When the wait for a response began. Only then does the time run: a loop may take as long as it likes.
        self._waiting_since: float | None = None
        self._is_silent = False
        self._ended = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="deskbridge watchdog", daemon=True)
        self._watchdog.start()

    def receive(self) -> SubscribeResponse:
        self._waiting_since = time.monotonic()
        try:
            return next(self._call)
        except StopIteration:
            raise ended() from None
        except grpc.RpcError as error:
            raise SilentError(self._patience) if self._is_silent else from_rpc(error) from None
        finally:
            self._waiting_since = None

    def close(self) -> None:
        self._call.cancel()
        self._ended.set()
        self._watchdog.join()

    def _watch(self) -> None:
        while not self._ended.wait(max(self._remaining(), 0)):
            if self._remaining() <= 0:
                self._is_silent = True
                self._call.cancel()
                return

    def _remaining(self) -> float:
        since = self._waiting_since
        return self._patience if since is None else since + self._patience - time.monotonic()


class SyncConnection:
    """Dials when first used. Threads may share it."""

    def __init__(self, endpoint: Endpoint, token: str | Callable[[], str] | None) -> None:
        self._token = token
        self._lock = threading.Lock()
        self._channels = Channels(endpoint.channel)
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends all calls, in whichever thread."""
        with self._lock:
            self._closed.set()
            for channel in self._channels:
                channel.close()

    def open_stream(self, request: SubscribeRequest, patience: float) -> SyncStream:
        """Starts a call, without waiting for the bridge. Cuts it when it is silent for so many seconds."""
        metadata = self._metadata()
        channel = self._begin()
        try:
            call: SubscribeCall = SessionEventServiceStub(channel).Subscribe(request, metadata=metadata)
        except ValueError as error:  # the client was closed a moment ago
            self._end(channel)
            raise unavailable(str(error)) from None
        return SyncStream(channel, call, patience)

    def close_stream(self, stream: SyncStream) -> None:
        stream.close()
        self._end(stream.channel)

    def call(self, make: Callable[[SessionEventServiceStub, Metadata], T]) -> T:
        """Makes a unary call."""
        metadata = self._metadata()
        channel = self._begin()
        try:
            return make(SessionEventServiceStub(channel), metadata)
        except (grpc.RpcError, ValueError) as error:
            self.check_open()
            raise from_rpc(error) if isinstance(error, grpc.RpcError) else error from None
        finally:
            self._end(channel)

    def retire(self, dead: grpc.Channel) -> None:
        """Has the next call dial anew. The calls that are on the channel stay there."""
        with self._lock:
            self._channels.retire(dead)

    def check_open(self) -> None:
        if self._closed.is_set():
            raise ClosedError

    def pause(self, seconds: float) -> None:
        """Sleeps, and raises ClosedError as soon as the connection is closed."""
        self._closed.wait(seconds)
        self.check_open()

    def _begin(self) -> grpc.Channel:
        with self._lock:
            self.check_open()
            return self._channels.begin()

    def _end(self, channel: grpc.Channel) -> None:
        with self._lock:
            is_unused = self._channels.end(channel)
        if is_unused:
            channel.close()

    def _metadata(self) -> Metadata:
        if self._token is None:
            return ()
        if isinstance(self._token, str):
            return bearer(self._token)
        try:
            return bearer(self._token())
        except Exception as error:
            raise unavailable(f"no token: {error!r}") from error
