"""The asyncio client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType

import grpc
from typing_extensions import Self, Unpack

from deskbridge.channel import Endpoint, Options
from deskbridge.connection import Connection, Token
from deskbridge.cursor import AsyncCursorStore, CursorStore
from deskbridge.hooks import Hooks
from deskbridge.request import SubscribeFields, make_request
from deskbridge.state import SubscriptionState
from deskbridge.subscription import Endings, Subscription
from deskbridge.v1.session_event_pb2 import SessionEvent
from deskbridge.v1.session_event_service_pb2 import (
    GetJournalInfoRequest,
    GetJournalInfoResponse,
    ListSessionEventsRequest,
    SubscribeRequest,
)


class Client:
    """A connection to a bridge, for one event loop. All calls and subscriptions share it.

    It connects when first used, and again whenever needed. Close it, or use it in `async with`.

    address: the bridge's gRPC port: "host:port", "unix:/path" or another gRPC target.
    token: the bearer token, or a function that returns one, plain or asynchronous. It is asked before each call and
        each reconnect, and should answer from memory or a file; see `token_file`. When it raises, the call fails with
        UNAVAILABLE, and a subscription tries again.
    tls: from `tls_from_files` or `grpc.ssl_channel_credentials`. Without it, an address on this machine is reached in
        plain text, and every other with TLS and gRPC's list of authorities.
    plaintext: no TLS though the address is on another machine: for networks that encrypt underneath, such as a service
        mesh. Everything crosses the network readable, the token too.
    options: gRPC channel options, which override those of this package.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token | None = None,
        tls: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        options: Options = (),
    ) -> None:
        self._connection = Connection(Endpoint(address, tls, plaintext, options), token)
        self._endings = Endings()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all calls and subscriptions with ClosedError. Closing again does nothing."""
        await self._connection.close()
        await self._endings.settle()

    def subscribe(
        self,
        request: SubscribeRequest | None = None,
        *,
        cursor_store: CursorStore | AsyncCursorStore | None = None,
        hooks: Hooks | None = None,
        **fields: Unpack[SubscribeFields],
    ) -> Subscription:
        """Returns the events that are asked for: each once and in order, across cuts and restarts of the bridge.

        Ask with a request, which is copied, or with its fields as keyword arguments.

        An event counts as consumed when the loop comes back for the next one. When the loop is left by break, by return
        or by an exception, the event it was left with is the first that the same cursor store delivers again. A cursor
        in the store goes before the request's start.

        The loop ends by itself after the last event that there is, with stop_when_caught_up. It raises
          - DeskbridgeError where only the application can tell how to go on: a cursor that is expired, malformed, of
            another epoch or in the future, an invalid request or filter, missing permission, a damaged journal,
            something that is not served;
          - CancelledError when its task is cancelled, which ends the subscription;
          - ClosedError when the client is closed, and whatever the cursor store and the hooks raise.

        Everything else (connections refused or cut, a bridge that restarts or drains, a stream silent for three
        heartbeat intervals, a reader that was too slow) is mended within: the client reconnects behind the last event
        consumed, with growing, jittered delays of at most ten seconds. Hooks tell.
        """
        state = SubscriptionState(make_request(request, fields), hooks or Hooks())
        return Subscription(self._connection, self._endings, state, cursor_store)

    async def list_session_events(
        self, session_id: str, *, sdk_app_id: str = "", page_size: int = 0, timeout: float | None = None
    ) -> AsyncGenerator[SessionEvent, None]:
        """Yields one session's retained events in order: its timeline. Pages are fetched as the loop needs them.

        timeout: for each page, in seconds. Raises DeskbridgeError; nothing is tried again.
        """
        request = ListSessionEventsRequest(session_id=session_id, sdk_app_id=sdk_app_id, page_size=page_size)
        while True:
            page = await self._connection.call(
                lambda service, metadata: service.ListSessionEvents(request, timeout=timeout, metadata=metadata),
                timeout,
            )
            for event in page.events:
                yield event
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_journal_info(self, *, timeout: float | None = None) -> GetJournalInfoResponse:
        """Returns where the journal begins and ends. Raises DeskbridgeError; nothing is tried again."""
        request = GetJournalInfoRequest()
        return await self._connection.call(
            lambda service, metadata: service.GetJournalInfo(request, timeout=timeout, metadata=metadata), timeout
        )
