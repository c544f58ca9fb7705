"""The contract: generated from proto/deskbridge/v1, whose comments are the reference. What consumers need of it,
and the quarantine for administrators."""

from deskbridge.v1.error_pb2 import *
from deskbridge.v1.quarantine_service_pb2 import *
from deskbridge.v1.session_event_pb2 import *
from deskbridge.v1.session_event_service_pb2 import *
