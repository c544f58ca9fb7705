"""The client without asyncio: the same subscriptions, driven by the thread that iterates."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType

import grpc
from typing_extensions import Self, Unpack

from deskbridge.channel import Endpoint, Options
from deskbridge.cursor import CursorStore
from deskbridge.hooks import Hooks
from deskbridge.request import SubscribeFields, make_request
from deskbridge.state import SubscriptionState
from deskbridge.sync_connection import SyncConnection
from deskbridge.sync_subscription import deliver
from deskbridge.v1.session_event_pb2 import SessionEvent
from deskbridge.v1.session_event_service_pb2 import (
    GetJournalInfoRequest,
    GetJournalInfoResponse,
    ListSessionEventsRequest,
    SubscribeRequest,
)


class SyncClient:
    """A Client for programs without an event loop. Threads may share it; each subscription belongs to one of them.

    The parameters are those of Client, with a plain function for a token.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | Callable[[], str] | None = None,
        tls: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        options: Options = (),
    ) -> None:
        self._connection = SyncConnection(Endpoint(address, tls, plaintext, options), token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and subscriptions, in whichever thread, with ClosedError. Closing again does nothing."""
        self._connection.close()

    def subscribe(
        self,
        request: SubscribeRequest | None = None,
        *,
        cursor_store: CursorStore | None = None,
        hooks: Hooks | None = None,
        **fields: Unpack[SubscribeFields],
    ) -> Generator[SessionEvent, None, None]:
        """Returns the events that are asked for, as `Client.subscribe` does.

        The store and the hooks are called in the thread that iterates. A subscription that outlives its loop, in a
        variable, has to be ended with `close`.
        """
        state = SubscriptionState(make_request(request, fields), hooks or Hooks())
        return deliver(self._connection, state, cursor_store)

    def list_session_events(
        self, session_id: str, *, sdk_app_id: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Generator[SessionEvent, None, None]:
        """Yields one session's events, as `Client.list_session_events` does."""
        request = ListSessionEventsRequest(session_id=session_id, sdk_app_id=sdk_app_id, page_size=page_size)
        while True:
            page = self._connection.call(
                lambda service, metadata: service.ListSessionEvents(request, timeout=timeout, metadata=metadata)
            )
            yield from page.events
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def get_journal_info(self, *, timeout: float | None = None) -> GetJournalInfoResponse:
        """Returns where the journal begins and ends. Raises DeskbridgeError; nothing is tried again."""
        request = GetJournalInfoRequest()
        return self._connection.call(
            lambda service, metadata: service.GetJournalInfo(request, timeout=timeout, metadata=metadata)
        )
