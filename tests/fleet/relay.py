"""The network between one gate and its hubs: cut, slow, and with a memory for what went by."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable

SENDING = b"POST /api/sync/journal"
KEPT = 8


class Relay:
    """Listens on the loopback and passes on to whatever hub `choose` names at the moment."""

    def __init__(self, choose: Callable[[], int]) -> None:
        self._choose = choose
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._seen: list[bytes] = []
        self._late: list[bytes] = []
        self.is_cut = False
        self.delay_s = 0.0
        self.withholds = False
        """Keeps the next batch back and ends its connection: the gate will send it again."""
        self.closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, in the middle of whatever they say, and refuse new ones."""
        self.is_cut = True
        self._drop()

    def heal(self) -> None:
        self.is_cut, self.delay_s, self.withholds = False, 0.0, False

    def replay(self) -> bool:
        """Deliver a batch once more that went by some time ago; whether there was one."""
        with self._lock:
            request = random.choice(self._seen) if self._seen else None
        return self._deliver(request)

    def deliver_late(self) -> bool:
        """Deliver a batch that was kept back, behind those sent since; whether there was one."""
        with self._lock:
            request = self._late.pop() if self._late else None
        return self._deliver(request)

    def _deliver(self, request: bytes | None) -> bool:
        if request is None:
            return False
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._choose()), 2) as hub,
        ):
            hub.settimeout(2)
            hub.sendall(request)
            hub.recv(65536)
        return True

    def close(self) -> None:
        self.closed = True
        self._listening.close()
        self._drop()

    def _drop(self) -> None:
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while not self.closed:
            try:
                gate, _ = self._listening.accept()
            except OSError:
                return
            if self.is_cut:
                gate.close()
                continue
            try:
                hub = socket.create_connection(("127.0.0.1", self._choose()), 2)
            except OSError:
                gate.close()
                continue
            hub.settimeout(None)
            with self._lock:
                self._open |= {gate, hub}
            threading.Thread(target=self._pass, args=(gate, hub, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(hub, gate, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        said = b""
        try:
            while data := source.recv(1 << 20):
                if self.delay_s:
                    time.sleep(random.uniform(0, self.delay_s))
                if upwards:
                    begins = data.startswith((b"POST", b"GET"))
                    said = self._remember(data if begins else said + data)
                    if self.withholds and said.startswith(SENDING):
                        if self._is_whole(said):
                            self._keep_back(said)
                            return
                        continue
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
            with self._lock:
                self._open -= {source, target}

    def _remember(self, said: bytes) -> bytes:
        """Keep a request that is complete by now."""
        if said.startswith(SENDING) and self._is_whole(said):
            with self._lock:
                self._seen = [*self._seen[-KEPT + 1 :], said]
        return said

    @staticmethod
    def _is_whole(said: bytes) -> bool:
        head, _, body = said.partition(b"\r\n\r\n")
        return f"Content-Length: {len(body)}".encode() in head

    def _keep_back(self, said: bytes) -> None:
        with self._lock:
            self._late = [*self._late[-KEPT + 1 :], said]
            self._seen = [kept for kept in self._seen if kept != said]
        self.withholds = False
