"""The contract: generated from proto/deskbridge/v1, whose comments are the reference. All messages and enum values."""

from deskbridge.v1.error_pb2 import *
from deskbridge.v1.quarantine_service_pb2 import *
from deskbridge.v1.session_event_pb2 import *
from deskbridge.v1.session_event_service_pb2 import *
