"""Transport security and tokens, with both clients."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import deskbridge
from conftest import Collect, Serve
from deskbridge.channel import is_local
from scripted import caught_up, cut, opened, plays

LOCAL = ["127.0.0.1:9090", "localhost:9090", "[::1]:9090", "unix:/run/bridge", "dns:///127.0.0.1:9090", "127.9.9.9:1"]
REMOTE = [
    "bridge:9090",
    "10.0.0.1:9090",
    "[2001:db8::1]:9090",
    "localhost.example.com:1",
    "dns:///bridge:9090",
    ":9090",
]


@pytest.mark.parametrize("address", LOCAL)
def test_local_addresses(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize("address", REMOTE)
def test_other_addresses(address: str) -> None:
    assert not is_local(address)


DONE = plays(opened(0, 0), caught_up(0))


def test_token_is_asked_for_each_attempt(collect: Collect, serve: Serve) -> None:
    bridge = serve(cut(), DONE)
    tokens = iter(["one", "two"])
    collect(bridge.address, token=lambda: next(tokens))
    assert bridge.tokens == ["Bearer one", "Bearer two"]


def test_token_as_text(collect: Collect, serve: Serve) -> None:
    bridge = serve(DONE)
    collect(bridge.address, token="secret")  # noqa: S106
    assert bridge.tokens == ["Bearer secret"]


def test_token_file_is_read_anew(collect: Collect, serve: Serve, tmp_path: Path) -> None:
    bridge = serve(DONE)
    path = tmp_path / "token"
    causes: list[deskbridge.DeskbridgeError] = []

    def reconnecting(cause: deskbridge.DeskbridgeError, _: float) -> None:
        causes.append(cause)
        path.write_text("" if len(causes) == 1 else " secret\n")

    collect(bridge.address, token=deskbridge.token_file(path), hooks=deskbridge.Hooks(reconnecting=reconnecting))
    assert bridge.tokens == ["Bearer secret"]
    assert [cause.code for cause in causes] == [grpc.StatusCode.UNAVAILABLE] * 2


def test_asynchronous_token(serve: Serve) -> None:
    bridge = serve(DONE)

    async def token() -> str:
        return "secret"

    async def run() -> None:
        async with deskbridge.Client(bridge.address, token=token) as client:
            assert [event async for event in client.subscribe(stop_when_caught_up=True)] == []

    asyncio.run(run())
    assert bridge.tokens == ["Bearer secret"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate of its for "bridge.test" that serves for both ends."""
    directory = tmp_path_factory.mktemp("certificates")
    (directory / "extensions").write_text("subjectAltName=DNS:bridge.test")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)  # noqa: S607

    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(*new, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=bridge.test", "-keyout", "key.pem", "-out", "request.pem")
    sign = ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(*sign, "-extfile", "extensions", "-out", "certificate.pem")
    return directory


NAMED = [("grpc.ssl_target_name_override", "bridge.test")]


@pytest.fixture
def secured(serve: Serve, certificates: Path) -> str:
    """The address of a bridge that demands a client's certificate."""
    pair = ((certificates / "key.pem").read_bytes(), (certificates / "certificate.pem").read_bytes())
    authority = (certificates / "ca.pem").read_bytes()
    return serve(DONE, credentials=grpc.ssl_server_credentials([pair], authority, True)).address


def test_mutual_tls(collect: Collect, secured: str, certificates: Path) -> None:
    tls = deskbridge.tls_from_files(
        ca=certificates / "ca.pem", certificate=certificates / "certificate.pem", key=certificates / "key.pem"
    )
    assert collect(secured, tls=tls, options=NAMED) == []


def no_certificate(directory: Path) -> grpc.ChannelCredentials:
    return deskbridge.tls_from_files(ca=directory / "ca.pem")


def no_authority(directory: Path) -> grpc.ChannelCredentials:
    return deskbridge.tls_from_files(certificate=directory / "certificate.pem", key=directory / "key.pem")


@pytest.mark.parametrize("make", [no_certificate, no_authority])
def test_tls_that_does_not_fit(
    collect: Collect, secured: str, certificates: Path, make: Callable[[Path], grpc.ChannelCredentials]
) -> None:
    class RefusedError(Exception):
        pass

    def reconnecting(cause: deskbridge.DeskbridgeError, _: float) -> None:
        raise RefusedError from cause

    with pytest.raises(RefusedError):
        collect(secured, tls=make(certificates), options=NAMED, hooks=deskbridge.Hooks(reconnecting=reconnecting))


@pytest.mark.parametrize("client", [deskbridge.Client, deskbridge.SyncClient])
def test_faulty_parameters(client: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="address is empty"):
        client("")
    with pytest.raises(ValueError, match="exclude each other"):
        client("bridge:9090", plaintext=True, tls=grpc.ssl_channel_credentials())
    with pytest.raises(ValueError, match="belong together"):
        deskbridge.tls_from_files(certificate="certificate.pem")
