"""The HTTP server, inside the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import time
from collections.abc import Generator
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from gated.config import ApiSettings
from gated.errors import ConfigError
from gated.web.connections import SWEEP_S, GuardedProtocol, Listener
from gated.web.places import HEAD_S, KEPT_S, Bounds, Places

GRACE_S = 2
"""The time that open requests have to end at a stop."""

BACKLOG = 128


class _Server(uvicorn.Server):
    """uvicorn's server, that leaves the signals to the daemon.

    Its own handling raises them again after the shutdown, with the default handlers restored: the
    process would end before the door is locked.
    """

    def __init__(self, config: uvicorn.Config, up: asyncio.Event, places: Places) -> None:
        super().__init__(config)
        self._up = up
        self._places = places
        self._sweeping: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a time limit for the handshake of TLS, which uvicorn does not give."""
        await self.lifespan.startup()
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        within = None if tls is None else HEAD_S
        protocol = functools.partial(
            GuardedProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            places=self._places,
        )
        self.servers = [
            await loop.create_server(
                protocol, sock=s, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=within
            )
            for s in sockets or ()
        ]
        self.started = True
        self._sweep()
        self._up.set()

    def _sweep(self) -> None:
        self._places.cut_overdue()
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self._sweeping is not None:
            self._sweeping.cancel()


class ApiServer:
    """Serves an application at the address of the settings.

    The address is taken at once: ConfigError when it is in use or cannot be had, and when the
    certificate cannot be read.
    """

    def __init__(self, app: FastAPI, settings: ApiSettings, bounds: Bounds | None = None) -> None:
        self._settings = settings
        self.places = Places(bounds or Bounds(), time.monotonic, settings.trusted_proxies)
        self._up = asyncio.Event()
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            http=cast(Any, GuardedProtocol),
            timeout_keep_alive=round(KEPT_S),
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
        self._config = config
        self._server = _Server(config, self._up, self.places)
        self.listening = _bound(settings.host, settings.port)
        self.listening.places = self.places

    @property
    def address(self) -> str:
        """The URL at which it listens; the port is the real one also when 0 was asked for."""
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

    def reload_certificate(self) -> None:
        """Show the certificate as it is in its file now to whoever connects from now on.

        ConfigError when it cannot be read: the one before stays.
        """
        context, settings = self._config.ssl, self._settings
        if context is None or settings.tls_certificate is None:
            return
        try:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"api.tls_certificate: cannot be used: {error}") from None

    async def started(self) -> str:
        """Wait until requests are answered; returns the address."""
        await self._up.wait()
        return self.address

    def stop(self) -> None:
        """End `serve` once the open requests are answered, or their time is over."""
        self._server.should_exit = True


def _bound(host: str, port: int) -> Listener:
    try:
        # with its protocol: asyncio switches Nagle's delays off only on sockets that name TCP
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = Listener(family, kind, protocol)
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
