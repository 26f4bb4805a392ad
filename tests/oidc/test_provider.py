"""A provider that others made: discovery, authorization, code and keys as it does them.

It needs an environment of its own, as it brings a web framework:
`python3 -m venv DIR && DIR/bin/pip install -r tests/oidc/provider.lock`, then
`GATED_OIDC_PROVIDER=DIR/bin/oidc-provider-mock`. It is built on Authlib.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gated.http.callers import SESSION
from gated.oidc.routes import BEGIN
from tests.oidc.conftest import gate_of

PROVIDER = os.environ.get("GATED_OIDC_PROVIDER")
ANNA = {"sub": "0017", "preferred_username": "anna.berg", "roles": ["gate-admins"]}

pytestmark = pytest.mark.skipif(
    PROVIDER is None, reason="GATED_OIDC_PROVIDER names no oidc-provider-mock"
)


@contextmanager
def provider_running() -> Iterator[str]:
    assert PROVIDER is not None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [PROVIDER, "--port", str(port), "--require-nonce", "true"]
    command += ["--user-claims", json.dumps(ANNA)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            ends = time.monotonic() + 60
            while True:
                assert process.poll() is None, "the provider has ended"
                assert time.monotonic() < ends, "the provider does not come up"
                try:
                    known = httpx.get(
                        f"http://127.0.0.1:{port}/.well-known/openid-configuration", trust_env=False
                    )
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield str(known.json()["issuer"])
        finally:
            process.terminate()


def test_somebody_signs_in_there_and_is_signed_in_here(tmp_path: Path) -> None:
    secret = tmp_path / "client.secret"
    secret.write_text("a-secret-of-the-client")
    with (
        provider_running() as issuer,
        gate_of(tmp_path / "state", issuer, client_secret_file=secret) as gate,
        httpx.Client(base_url=gate.address, timeout=60, trust_env=False) as browser,
    ):
        there = browser.get(BEGIN).headers["location"]
        assert there.startswith(issuer.rstrip("/"))
        assert browser.get(there).status_code == 200
        sent = browser.post(there, data={"sub": ANNA["sub"]})
        assert sent.status_code in (302, 303), sent.text
        back = browser.get(sent.headers["location"])
        assert back.headers["location"] == "/ui/"
        assert browser.cookies.get(SESSION) is not None
        session = browser.get("/api/auth/session").json()
        assert (session["username"], session["role"]) == ("anna.berg", "admin")
        once_more = browser.get(sent.headers["location"])
        assert once_more.headers["location"] == "/ui/?sign_in=sign_in_refused"
