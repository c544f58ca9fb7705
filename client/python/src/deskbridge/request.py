"""The fields of a SubscribeRequest as keyword arguments."""

from __future__ import annotations

import datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from typing_extensions import TypedDict

from deskbridge.v1.session_event_service_pb2 import EventFilter, OnExpired, StartPosition, SubscribeRequest


class SubscribeFields(TypedDict, total=False):
    """The contract's comments say what each means. At most one of start_position, after_cursor and at_time."""

    filter: EventFilter
    start_position: StartPosition.ValueType
    after_cursor: str
    at_time: datetime.datetime | Timestamp
    on_expired: OnExpired.ValueType
    stop_when_caught_up: bool
    heartbeat_interval: datetime.timedelta | Duration
    read_mask: FieldMask
    name: str


def make_request(request: SubscribeRequest | None, fields: SubscribeFields) -> SubscribeRequest:
    """Returns a copy of the request, or one of the fields."""
    if request is None:
        # The generated types don't know that protobuf takes Python's own times, too.
        return SubscribeRequest(**fields)  # type: ignore[arg-type]
    if fields:
        raise TypeError("subscribe: a request and its fields exclude each other")
    copy = SubscribeRequest()
    copy.CopyFrom(request)
    return copy
