"""HTTP connections to partners, watched by a deadline from the first byte of TLS on."""

from __future__ import annotations

import http.client
import socket
import ssl

from gated.link.deadline import Deadline


class WatchedConnection(http.client.HTTPConnection):
    """A connection to host and port, with TLS where a context is given.

    address: family and address of a name that was resolved and examined before; None: the name is
    resolved here. connect_s: seconds to connect; answer_s: seconds for one read.
    """

    connect_s, answer_s = 5.0, 10.0

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        deadline: Deadline,
        address: tuple[int, str] | None = None,
    ) -> None:
        super().__init__(host, port)
        self.default_port = 443 if tls else 80
        self._tls = tls
        self._deadline = deadline
        self._address = address

    def connect(self) -> None:
        """Connect. Raises: OSError."""
        plain = self._connected()
        try:
            self._deadline.watch(plain)
            plain.settimeout(self.answer_s)
            secure = self._tls
            self.sock = secure.wrap_socket(plain, server_hostname=self.host) if secure else plain
        except BaseException:
            plain.close()
            raise

    def _connected(self) -> socket.socket:
        if self._address is None:
            return socket.create_connection((self.host, self.port), self.connect_s)
        family, address = self._address
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(self.connect_s)
            plain.connect((address, self.port))
        except BaseException:
            plain.close()
            raise
        return plain
