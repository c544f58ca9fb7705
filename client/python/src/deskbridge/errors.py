"""What can go wrong, in a form to program against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.rpc import status_pb2

from deskbridge.v1.error_pb2 import ErrorDetail, ErrorReason

_TEMPORARY_REASONS = frozenset(
    {
        ErrorReason.ERROR_REASON_SLOW_READER,
        ErrorReason.ERROR_REASON_DRAINING,
        ErrorReason.ERROR_REASON_JOURNAL_UNAVAILABLE,
        ErrorReason.ERROR_REASON_LIMIT_EXCEEDED,
        ErrorReason.ERROR_REASON_INTERNAL,
    }
)

# What is final is listed, because proxies and gRPC itself report their troubles with all other codes: a stream reset by
# a peer as INTERNAL or CANCELLED, a proxy's timeout as DEADLINE_EXCEEDED, its 502 page as UNKNOWN.
_FINAL_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


class DeskbridgeError(Exception):
    """A failure that the bridge, or something between, has reported. Decide by `reason`.

    reason: ERROR_REASON_UNSPECIFIED where the failure is not from the bridge itself (a proxy, the network): see `code`.
    field: the request field at fault, such as "filter.type_names[2]"; empty when no single one is.
    earliest_cursor, latest_cursor: where a subscription could start instead; set with the CURSOR reasons.
    resume_cursor: where a cut stream can be resumed. A subscription does so by itself.
    """

    def __init__(self, message: str, code: grpc.StatusCode, detail: ErrorDetail | None = None) -> None:
        super().__init__(message)
        detail = detail or ErrorDetail()
        self.message = message
        self.code = code
        self.reason = detail.reason
        self.field = detail.field
        self.earliest_cursor = detail.earliest_cursor
        self.latest_cursor = detail.latest_cursor
        self.resume_cursor = detail.resume_cursor

    def __str__(self) -> str:
        return f"{self.reason_name or self.code.name}: {self.message}"

    @property
    def reason_name(self) -> str:
        """The reason without its prefix, such as "CURSOR_EXPIRED"; empty when there is none, or a newer one."""
        name = ErrorReason.Name(self.reason) if self.reason in ErrorReason.values() else ""
        return name.removeprefix("ERROR_REASON_").removeprefix("UNSPECIFIED")

    @property
    def is_temporary(self) -> bool:
        """Whether the same call may succeed later without anybody's decision. A subscription then tries again."""
        # The other reasons of today are final by their codes as well; one newer than this client has only its code.
        return self.reason in _TEMPORARY_REASONS or self.code not in _FINAL_CODES


class ClosedError(DeskbridgeError):
    """The client was closed while it was in use, or before."""

    def __init__(self) -> None:
        super().__init__("the client is closed", grpc.StatusCode.CANCELLED)


class SilentError(DeskbridgeError):
    """Nothing came for three heartbeat intervals: the connection is dead, or what is behind it is.

    Only `Hooks.reconnecting` sees it.
    """

    def __init__(self, patience: float) -> None:
        super().__init__(f"no heartbeat from the bridge for {patience:g} s", grpc.StatusCode.UNAVAILABLE)


def unavailable(message: str) -> DeskbridgeError:
    """A trouble on this side of the connection, which a new attempt may mend."""
    return DeskbridgeError(message, grpc.StatusCode.UNAVAILABLE)


def ended() -> DeskbridgeError:
    return unavailable("stream ended by the bridge")


def from_rpc(error: grpc.RpcError) -> DeskbridgeError:
    """Makes one of what gRPC raises, asynchronous or not."""
    return DeskbridgeError(error.details() or "", error.code(), _detail(error.trailing_metadata() or ()))


def _detail(metadata: Iterable[Any]) -> ErrorDetail | None:
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                detail = ErrorDetail()
                if packed.Unpack(detail):
                    return detail
    return None
