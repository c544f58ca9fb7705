"""How to reach a bridge: transport security, tokens and the settings of a gRPC channel."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

from deskbridge.state import MAX_BACKOFF, MIN_BACKOFF

Options = Sequence[tuple[str, Any]]
Metadata = tuple[tuple[str, str], ...]

_OPTIONS: Options = (
    # Together they notice a dead connection before the third heartbeat of ten seconds is missed.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", int(MIN_BACKOFF * 1000)),
    # This one bounds an attempt to connect, too.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", int(MAX_BACKOFF * 1000)),
    # Otherwise a channel that replaces a dead one would be given the very connection that is dead.
    ("grpc.use_local_subchannel_pool", 1),
)


def tls_from_files(
    *,
    ca: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
) -> grpc.ChannelCredentials:
    """Returns a client's `tls` from PEM files, which are read now.

    ca: the authorities to trust, instead of gRPC's own list. certificate, key: what to show to a bridge that asks for
    a client's certificate; both or none.
    """
    if (certificate is None) != (key is None):
        raise ValueError("tls_from_files: certificate and key belong together")
    return grpc.ssl_channel_credentials(
        root_certificates=None if ca is None else Path(ca).read_bytes(),
        private_key=None if key is None else Path(key).read_bytes(),
        certificate_chain=None if certificate is None else Path(certificate).read_bytes(),
    )


def token_file(path: str | os.PathLike[str]) -> Callable[[], str]:
    """Returns a client's `token` that reads the file at each use, so that a token replaced on disk is taken up.

    Space around the token is ignored.
    """

    def read() -> str:
        token = Path(path).read_text("utf-8").strip()
        if not token:
            raise ValueError(f"token file: {path} is empty")
        return token

    return read


class Endpoint:
    """A bridge's address and how to secure the way to it. Immutable."""

    def __init__(self, address: str, tls: grpc.ChannelCredentials | None, plaintext: bool, options: Options) -> None:
        if not address:
            raise ValueError("deskbridge: address is empty")
        if plaintext and tls is not None:
            raise ValueError("deskbridge: plaintext and tls exclude each other")
        if tls is None and not plaintext and not is_local(address):
            tls = grpc.ssl_channel_credentials()
        self._address, self._tls = address, tls
        self._options = [*_OPTIONS, *options]

    def channel(self) -> grpc.Channel:
        if self._tls is None:
            return grpc.insecure_channel(self._address, self._options)
        return grpc.secure_channel(self._address, self._tls, self._options)

    def async_channel(self) -> grpc.aio.Channel:
        """Must be called on the event loop that will use it."""
        if self._tls is None:
            return grpc.aio.insecure_channel(self._address, self._options)
        return grpc.aio.secure_channel(self._address, self._tls, self._options)


def bearer(token: str) -> Metadata:
    """Returns the metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)


def is_local(target: str) -> bool:
    """Says whether a gRPC target can only be on this machine.

    A name other than localhost never is: what it resolves to may change.
    """
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        target = target.removeprefix(scheme)
    host = target.lstrip("/")
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
