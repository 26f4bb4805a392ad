"""Sends requests in an open loop: a slow answer does not delay the next request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECTIONS = 40


@dataclass(frozen=True, slots=True)
class Answers:
    """Times of answers. took_ms: from the due time of each request to its complete answer.

    cpu_ms: processor time of this client for each request.
    """

    took_ms: list[float]
    cpu_ms: float


class Client:
    """A minimal HTTP/1.1 client: a full one would use more of the machine than the answers."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        assert place.hostname is not None  # noqa: S101
        assert place.port is not None  # noqa: S101
        self._host, self._port = place.hostname, place.port
        self.token = ""

    async def sign_in(self, username: str, password: str) -> None:
        form = f"username={username}&password={password}"
        body = await self._once("POST", "/api/auth/login", form)
        self.token = json.loads(body)["access_token"]

    async def get(self, path: str) -> bytes:
        """Return the body of one answer. Raises: RuntimeError unless it is a 200."""
        return await self._once("GET", path)

    async def ask(self, paths: tuple[str, ...], rate: float, seconds: float) -> Answers:
        """GET the paths in turn, at `rate` requests a second."""
        took: list[float] = []
        begin, cpu = time.perf_counter() + 0.1, time.process_time()
        due = iter([(begin + n / rate, paths[n % len(paths)]) for n in range(int(rate * seconds))])
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._work(due, took))
        return Answers(took, (time.process_time() - cpu) * 1e3 / len(took))

    async def _work(self, due: Iterator[tuple[float, str]], took: list[float]) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        for at, path in due:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            await self._exchange(reader, writer, "GET", path)
            took.append((time.perf_counter() - at) * 1e3)
        writer.close()

    async def _once(self, method: str, path: str, form: str = "") -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            return await self._exchange(reader, writer, method, path, form)
        finally:
            writer.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        form: str = "",
    ) -> bytes:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: Bearer {self.token}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 200 " not in head.partition("\r\n")[0]:
            raise RuntimeError(f"{method} {path}: {head.partition(chr(13))[0]}")
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        return await reader.readexactly(int(length))
