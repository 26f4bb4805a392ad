"""The HTTP server, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from gated.config import ApiSettings
from gated.errors import ConfigError

GRACE_S = 2
"""How long open requests may take to end at a stop."""

KEPT_S = 75
"""How long a connection at rest is kept: longer than gates are silent, as each new one costs a
handshake of TLS."""

CONNECTIONS = 256
"""At a time; more are answered with 503."""

HUB_CONNECTIONS = 4096
"""Each gate keeps two."""


class _Server(uvicorn.Server):
    """uvicorn's server, that leaves the signals to the daemon.

    Its own handling raises them again after the shutdown, with the default handlers restored: the
    process would end before the door is locked.
    """

    def __init__(self, config: uvicorn.Config, up: asyncio.Event) -> None:
        super().__init__(config)
        self._up = up

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()


class ApiServer:
    """Serves an application at the address of the settings.

    The address is taken at once: ConfigError when it is in use or cannot be had, and when the
    certificate cannot be read.
    """

    def __init__(self, app: FastAPI, settings: ApiSettings, connections: int = CONNECTIONS) -> None:
        self._settings = settings
        self._up = asyncio.Event()
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=connections,
            timeout_keep_alive=KEPT_S,
            timeout_graceful_shutdown=GRACE_S,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"api.tls_certificate: cannot be used: {error}") from None
        self._server = _Server(config, self._up)
        self.listening = _bound(settings.host, settings.port)

    @property
    def address(self) -> str:
        """Where it listens, as a URL; the port is the real one also when 0 was asked for."""
        scheme = "https" if self._settings.tls_certificate else "http"
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}:{self.listening.getsockname()[1]}"

    async def serve(self) -> None:
        """Serve until `stop`."""
        try:
            await self._server.serve(sockets=[self.listening])
        finally:
            self.listening.close()
            self._up.set()

    async def started(self) -> str:
        """Wait until requests are answered; returns the address."""
        await self._up.wait()
        return self.address

    def stop(self) -> None:
        """End `serve` once the open requests are answered, or their time is over."""
        self._server.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    try:
        # with its protocol: asyncio switches Nagle's delays off only on sockets that name TCP
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"api.host: {host} cannot be used: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"api.port: {host}:{port} cannot be had ({error.strerror}): "
            "end what uses it, or choose another port"
        ) from None
    return bound
