"""Gates without a machine: joined, with journals of their own making, cheap enough for hundreds.

What they say is what gates say, signed and chained; only that it is made beforehand, so that those
who ask do not take the time of the one who is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.core.chain import GENESIS, canonical, commitment, row_hash
from gated.core.values import PersonRef
from gated.database.tables import new_uid
from gated.fleet.hub.fleet import Fleet, Joining
from gated.fleet.wire.join_codes import JoinCode, proof
from gated.fleet.wire.signing import GateKeys, SignedRequest
from gated.http.headers import HEADER
from gated.journal.chain_tip import Head
from gated.journal.journal import Entry
from tests.people.people import entry

SOMEBODY = PersonRef(1, "0190aaaa-0000-7000-8000-000000000001", "P1", "Ada Byron")
BUSY_S = 1.0


class OwnJournal:
    """The chain of one gate, in memory."""

    def __init__(self) -> None:
        self._signer = Ed25519PrivateKey.generate()
        self.key = self._signer.public_key().public_bytes_raw().hex()
        self.gate = new_uid()
        self.end = Head(f"{self.gate}/1", 0, GENESIS)

    def batch(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """These as the next rows of the journal, as they travel; a seal behind each tenth.

        The first row of all says what the journal is sealed with, whatever was given for it.
        """
        after = self.end
        told: dict[str, list[Any]] = {"rows": [], "private": [], "seals": []}
        for n, made in enumerate(entries, 1):
            self._add(made, told)
            if n % 10 == 0 or n == len(entries):
                signature = self._signer.sign(self.end.message()).hex()
                seal = {"seq": self.end.seq, "hash": self.end.hash, "signature": signature}
                told["seals"].append(seal)
        place = {"seq": after.seq, "hash": after.hash}
        return {"chain": after.chain, "after": place, **told, "lost": False}

    def _add(self, made: Entry, told: dict[str, list[Any]]) -> None:
        if self.end.seq == 0:
            made = Entry(made.at, "chain_started", {"public_key": self.key})
        salts = {role: secrets.token_hex(32) for role in made.private}
        fields = {
            "chain": self.end.chain,
            "seq": self.end.seq + 1,
            "at_utc": round(made.at.utc * 1e6),
            "boot_id": "b",
            "mono_ns": round(made.at.mono * 1e9),
            "clock_ok": True,
            "kind": made.kind,
            "body": dict(made.body),
            "commits": {r: commitment(salts[r], p) for r, p in made.private.items()},
        }
        hash_ = row_hash(self.end.hash, fields)
        told["rows"].append(
            {k: v for k, v in fields.items() if k != "chain"}
            | {n: canonical(fields[n]).decode() for n in ("body", "commits")}
            | {"hash": hash_}
        )
        for role, payload in made.private.items():
            part = {"seq": fields["seq"], "role": role, "salt": salts[role]}
            told["private"].append({**part, "payload": canonical(payload).decode()})
        self.end = Head(self.end.chain, self.end.seq + 1, hash_)


class LightGate:
    """One gate that has joined, and its connections to the hub at a port of this machine."""

    def __init__(self, fleet: Fleet, name: str, port: int) -> None:
        self.journal = OwnJournal()
        self.keys = GateKeys(GateKeys.new_seed())
        self._port = port
        invited, code = fleet.invite(name, "works", {"everyone": True}, actor="bench")
        self.id = invited.gate.id
        read = JoinCode.read(code)
        told = {
            "invite": read.invite,
            "device": self.journal.gate,
            **self.keys.public(),
            "journal_key": self.journal.key,
        }
        fleet.join(Joining(**told, proof=proof(read.key, told)))
        self.cursor = ""

    def request(self, method: str, target: str, body: Any = None) -> bytes:
        """A request as it goes over the wire, signed now."""
        text = b"" if body is None else json.dumps(body).encode()
        signed = SignedRequest(method, target, int(time.time()), text)
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self.keys.token}\r\n"
            f"{HEADER}: {signed.at}.{self.keys.sign(signed.message())}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        return head.encode() + text

    def sendings(self, batches: int, rows: int) -> list[bytes]:
        """Batches of the journal, to be sent in this order; each fourth row names somebody."""
        entries = [entry(None if n % 4 else SOMEBODY) for n in range(rows)]
        made = [self.journal.batch(entries) for _ in range(batches)]
        return [self.request("POST", "/api/sync/journal", batch) for batch in made]

    def asking(self, wait: float = 0) -> bytes:
        """The question for what changed behind the cursor."""
        query = {"since": self.cursor, "model": "m1/0", "limit": 200, "wait": wait}
        return self.request("GET", f"/api/sync/changes?{urlencode(query)}")

    def heartbeat(self) -> bytes:
        status = {"version": "0", "role": "gate", "problems": [], "people": 1, "backlog": 0}
        body = {"model": "m1/0", "status": status}
        return self.request("POST", "/api/sync/heartbeat", body)

    def connect(self) -> Connection:
        return Connection(self._port)


class Connection:
    """A few lines of HTTP/1.1, kept open; come again later where the hub says so."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.refused = 0

    async def ask(self, request: bytes) -> Any:
        """The answer; RuntimeError unless it is a good one."""
        while True:
            status, body = await self._exchange(request)
            if status == 200:
                return json.loads(body)
            if status != 503:
                raise RuntimeError(f"{status}: {body!r}")
            self.refused += 1
            await asyncio.sleep(BUSY_S)

    async def ask_all(self, requests: Sequence[bytes]) -> None:
        for request in requests:
            await self.ask(request)

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), body

    def close(self) -> None:
        if self._streams is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._streams[1].close()
            self._streams = None
