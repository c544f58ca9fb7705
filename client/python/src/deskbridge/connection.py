"""The asyncio client's connection, which all its calls share and which is replaced when it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from deskbridge.channel import Endpoint, Metadata, bearer
from deskbridge.channels import Channels
from deskbridge.errors import ClosedError, DeskbridgeError, SilentError, ended, from_rpc, unavailable
from deskbridge.v1.session_event_service_pb2 import SubscribeRequest, SubscribeResponse
from deskbridge.v1.session_event_service_pb2_grpc import SessionEventServiceStub

if TYPE_CHECKING:
    from deskbridge.v1.session_event_service_pb2_grpc import SessionEventServiceAsyncStub

SubscribeCall = grpc.aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]
T = TypeVar("T")

Token = str | Callable[[], str | Awaitable[str]]


class Stream:
    """One Subscribe call, and the channel that it uses."""

    def __init__(self, channel: grpc.aio.Channel, call: SubscribeCall) -> None:
        self.channel = channel
        self._call = call

    async def receive(self, patience: float) -> SubscribeResponse:
        """Waits so many seconds for a response. Only then does the time run: a loop may take as long as it likes.

        The read is a task of its own, because gRPC tells its end by cancellation whoever it was that cancelled.
        """
        read = asyncio.ensure_future(self._call.read())
        try:
            await asyncio.wait({read}, timeout=patience)
            if not read.done():
                raise SilentError(patience)
            return _result(read)
        finally:
            if not read.done():
                self._call.cancel()
                await asyncio.wait({read})
                _ = read.cancelled() or read.exception()

    def cancel(self) -> None:
        self._call.cancel()


def _result(read: asyncio.Future[object]) -> SubscribeResponse:
    if read.cancelled():
        raise DeskbridgeError("the connection was closed", grpc.StatusCode.CANCELLED)
    try:
        response = read.result()
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from None
    if isinstance(response, SubscribeResponse):
        return response
    raise ended()


class Connection:
    """Dials when first used. Used on one event loop."""

    def __init__(self, endpoint: Endpoint, token: Token | None) -> None:
        self._token = token
        self._channels = Channels(endpoint.async_channel)
        self._closed = asyncio.Event()

    async def close(self) -> None:
        """Ends all calls."""
        self._closed.set()
        for channel in self._channels:
            await channel.close()

    async def open_stream(self, request: SubscribeRequest, patience: float) -> Stream:
        """Starts a call. Takes time only where the token has to be waited for, and then at most so many seconds."""
        metadata = await self._metadata(patience)
        channel = self._begin()
        return Stream(channel, _service(channel).Subscribe(request, metadata=metadata))

    async def close_stream(self, stream: Stream) -> None:
        stream.cancel()
        await self._end(stream.channel)

    async def call(
        self, make: Callable[[SessionEventServiceAsyncStub, Metadata], Awaitable[T]], timeout: float | None
    ) -> T:
        """Makes a unary call, after at most so many seconds for the token."""
        metadata = await self._metadata(timeout)
        channel = self._begin()
        try:
            return await make(_service(channel), metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from None
        except asyncio.CancelledError:
            self.check_open()
            raise
        finally:
            await self._end(channel)

    def retire(self, dead: grpc.aio.Channel) -> None:
        """Has the next call dial anew. The calls that are on the channel stay there."""
        self._channels.retire(dead)

    def check_open(self) -> None:
        if self._closed.is_set():
            raise ClosedError

    async def pause(self, seconds: float) -> None:
        """Sleeps, and raises ClosedError as soon as the connection is closed."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
        self.check_open()

    def _begin(self) -> grpc.aio.Channel:
        self.check_open()
        return self._channels.begin()

    async def _end(self, channel: grpc.aio.Channel) -> None:
        if self._channels.end(channel):
            await channel.close()

    async def _metadata(self, timeout: float | None) -> Metadata:
        if self._token is None:
            return ()
        if isinstance(self._token, str):
            return bearer(self._token)
        try:
            token = self._token()
            if inspect.isawaitable(token):
                token = await asyncio.wait_for(token, timeout)
        except Exception as error:
            raise unavailable(f"no token: {error!r}") from error
        return bearer(token)


def _service(channel: grpc.aio.Channel) -> SessionEventServiceAsyncStub:
    return SessionEventServiceStub(channel)
