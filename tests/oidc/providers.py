"""A provider of the tests' own, which lies as it is told; speaks HTTP on a port of its own."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "gated"


@dataclass
class LyingProvider:
    """Signs ID tokens with whatever claims, key and algorithm a test asks for."""

    address: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    """Put over those that are right; None takes one away."""
    head: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    signing: Any = None
    """Another key than the published one."""
    token_answer: tuple[int, bytes] | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    nonce: str = ""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def tell_the_truth(self) -> None:
        """Forget every lie."""
        fresh = vars(LyingProvider(self.address, key=self.key))
        vars(self).update(fresh)

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        """The answer to a request; a form is that of the token's address."""
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps(self._discovered()).encode()
        if path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return 200, json.dumps({"keys": [{**public, "kid": "k1", "use": "sig"}]}).encode()
        if path == "/userinfo":
            return 200, json.dumps(self.userinfo).encode()
        if path == "/token":
            self.forms.append(form)
            return self.token_answer or (200, json.dumps(self._tokens()).encode())
        return 404, b"{}"

    def _discovered(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "userinfo_endpoint": f"{self.address}/userinfo",
            **self.discovery,
        }

    def _tokens(self) -> dict[str, Any]:
        now = int(time.time())
        right = {
            "iss": self.address, "aud": CLIENT, "sub": "u1", "iat": now, "exp": now + 300,
            "nonce": self.nonce, "auth_time": now, "preferred_username": "anna",
            "roles": ["gate-admins"],
        }  # fmt: skip
        claims = {k: v for k, v in {**right, **self.claims}.items() if v is not None}
        key = self.key if self.signing is None else self.signing
        token = jwt.encode(claims, key, self.algorithm, {"kid": "k1", **self.head})
        return {"id_token": token, "access_token": secrets.token_urlsafe(8), "token_type": "Bearer"}


@contextmanager
def lying_provider() -> Iterator[LyingProvider]:
    """The provider serves while the block does."""
    provider = LyingProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer({k: v[0] for k, v in parse_qs(sent).items()})

        def _answer(self, form: dict[str, str]) -> None:
            status, body = provider.answer(urlsplit(self.path).path, form)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
