"""The server in the daemon's loop: signals, ports, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import signal
import socket
import ssl
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from gated.config import ApiSettings
from gated.errors import ConfigError
from gated.web.server import ApiServer
from tests.fixtures.server import running, serving


def hello() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/")
    def root() -> str:
        return "hello"

    return app


def test_port_0_takes_a_free_one_and_says_which() -> None:
    server = ApiServer(hello(), ApiSettings(port=0))
    with serving(server) as address:
        assert address.startswith("http://127.0.0.1:")
        assert not address.endswith(":0")
        assert httpx.get(address, trust_env=False, timeout=60).json() == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False, timeout=60)


def test_nothing_is_left_of_an_application_that_has_ended(tmp_path: Path) -> None:
    with running(tmp_path, roles=["viewer"]) as ended, ended.client("viewer") as client:
        assert client.get("/openapi.json").status_code == 200
        assert client.get("/ui/").status_code == 200
        workspace = weakref.ref(ended.services.workspace)
    del ended
    gc.collect()
    assert workspace() is None


def test_a_taken_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"api.port: 127.0.0.1:{port} cannot be had"):
            ApiServer(hello(), ApiSettings(port=port))


def test_an_unknown_host_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"api\.host: 192\.0\.2\.1:|api.port: 192.0.2.1"):
        ApiServer(hello(), ApiSettings(host="192.0.2.1", insecure=True, port=0))


def test_the_port_can_be_taken_again_at_once() -> None:
    first = ApiServer(hello(), ApiSettings(port=0))
    with serving(first) as address:
        httpx.get(address, trust_env=False, timeout=60)
    again = ApiServer(hello(), ApiSettings(port=int(address.rpartition(":")[2])))
    with serving(again) as address:
        assert httpx.get(address, trust_env=False, timeout=60).status_code == 200


def test_answers_are_not_held_back_by_nagle() -> None:
    seen: list[int] = []
    app = hello()

    class Spy(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            peer = transport.get_extra_info("socket")
            seen.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def main() -> None:
        listening = ApiServer(app, ApiSettings(port=0)).listening
        spy = await asyncio.get_running_loop().create_server(Spy, sock=listening)
        _, writer = await asyncio.open_connection(*listening.getsockname())
        while not seen:
            await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        spy.close()

    asyncio.run(main())
    assert seen == [1]


CHILD = """
import asyncio, signal
from fastapi import FastAPI
from gated.web.server import ApiServer
from gated.config import ApiSettings

async def main():
    server = ApiServer(FastAPI(), ApiSettings(port=0))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve())
    print(await server.started(), flush=True)
    await stop.wait()
    server.stop()
    await serving
    print("door locked", flush=True)

try:
    asyncio.run(main())
finally:
    print("finally", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_daemon_time_to_lock_the_door(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"http://")
        child.send_signal(number)
        rest, _ = child.communicate(timeout=30)
    assert rest == b"door locked\nfinally\n"
    assert child.returncode == 0


def test_serving_leaves_the_handlers_of_signals_alone() -> None:
    async def main() -> list[bool]:
        before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
        server = ApiServer(hello(), ApiSettings(port=0))
        serve = asyncio.create_task(server.serve())
        await server.started()
        during = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
        server.stop()
        await serve
        return [a is b for a, b in zip(before, during, strict=True)]

    assert asyncio.run(main()) == [True, True]


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, key_pem


def test_tls_by_configured_certificate(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path)
    server = ApiServer(hello(), ApiSettings(port=0, tls_certificate=pem, tls_key=key))
    with serving(server) as address:
        assert address.startswith("https://")
        trust = ssl.create_default_context(cafile=str(pem))
        local = address.replace("127.0.0.1", "localhost")
        assert httpx.get(local, verify=trust, trust_env=False, timeout=60).json() == "hello"


def test_a_certificate_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    _, key = certificate(tmp_path)
    for bad in (tmp_path / "none.pem", key):
        with pytest.raises(ConfigError, match=r"api\.tls_certificate: cannot be used"):
            ApiServer(hello(), ApiSettings(port=0, tls_certificate=bad, tls_key=key))


def test_what_goes_on_ends_with_the_server_and_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI(openapi_url=None)
    begun = asyncio.Event()

    async def for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0.1)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(for_ever(), media_type="text/event-stream")

    @app.get("/never")
    async def never() -> None:
        begun.set()
        await asyncio.sleep(600)

    async def main() -> int:
        server = ApiServer(app, ApiSettings(port=0))
        serve = asyncio.create_task(server.serve())
        address = await server.started()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            waits = asyncio.create_task(client.get(f"{address}/never"))
            async with client.stream("GET", f"{address}/stream") as answer:
                parts = answer.aiter_bytes()
                await anext(parts)
                await asyncio.wait_for(begun.wait(), 60)
                server.stop()
                with contextlib.suppress(httpx.HTTPError):
                    async for _ in parts:
                        pass
            answered = await waits
        await serve
        return answered.status_code

    assert asyncio.run(main()) == 503
    assert [r.getMessage() for r in caplog.records if r.exc_info] == []


def test_open_requests_end_before_the_server_does() -> None:
    app = FastAPI(openapi_url=None)
    begun = asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        begun.set()
        await asyncio.sleep(0.3)
        return "done"

    async def main() -> str:
        server = ApiServer(app, ApiSettings(port=0))
        serve = asyncio.create_task(server.serve())
        address = await server.started()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            asked = asyncio.create_task(client.get(f"{address}/slow"))
            await asyncio.wait_for(begun.wait(), 60)
            server.stop()
            answer = await asked
        await serve
        return str(answer.json())

    assert asyncio.run(main()) == "done"
