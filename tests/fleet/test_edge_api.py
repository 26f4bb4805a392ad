"""What holds for every request: one shape of errors, headers, limits, documentation offline."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from gated.config import ApiSettings
from gated.errors import StorageError
from gated.http.problems import CODES
from gated.web.app import PUBLIC, create_app
from gated.web.server import ApiServer
from tests.fixtures.server import Running, serving


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/persons//", 404),
        ("GET", "/api/../etc/passwd", 404),
        ("DELETE", "/health", 405),
        ("GET", "/api/attendance?limit=0", 422),
        ("GET", "/api/attendance?limit=ten", 422),
        ("GET", "/api/attendance?from=yesterday", 422),
        ("GET", "/api/attendance?from=2026-13-01T00:00:00", 422),
        ("GET", "/api/attendance?direction=up", 422),
        ("GET", "/api/attendance?cursor=nonsense", 422),
        ("GET", "/api/persons/999999", 404),
        ("GET", "/api/persons/99999999999999999999999", 404),
        ("GET", "/api/persons/" + "9" * 5000, 422),
        ("GET", "/api/persons/one", 422),
        ("GET", "/api/persons?offset=99999999999999999999999", 200),
        ("GET", "/api/persons?q=%00", 422),
        ("GET", "/api/attendance?gate_name=a%00b", 422),
        ("GET", "/docs/%00", 422),
        ("GET", "/api/persons?sort=password", 422),
        ("GET", "/docs/nothing.js", 404),
        ("GET", "/docs/..%2f..%2fpyproject.toml", 404),
    ],
)
def test_every_refusal_has_one_shape(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status, answer.text
    if status == 200:
        return
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == CODES[status]
    assert body["title"]
    assert body["detail"]
    assert body["type"] == "about:blank"


def test_a_mistake_of_ours_is_a_500_without_a_traceback(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(server.services)

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    @app.get("/disk")
    def disk() -> None:
        raise StorageError("/secret/path is full")

    api = ApiServer(app, ApiSettings(port=0))
    with serving(api) as address, caplog.at_level(logging.INFO):
        answer = httpx.get(f"{address}/broken", trust_env=False, timeout=60)
        full = httpx.get(f"{address}/disk", trust_env=False, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    failed = [r for r in caplog.records if answer.headers["X-Request-ID"] in r.getMessage()]
    assert any(r.exc_info for r in failed), "the log has the traceback under the request's id"
    assert (full.status_code, full.json()["code"]) == (503, "storage")
    assert "secret" not in full.text


def test_a_request_has_an_id_that_the_log_repeats(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gated.api.requests"), server.client() as client:
        answer = client.get("/health?token=hush")
        # written when the answer is complete, which the client may see first
        client.get("/health")
    request_id = answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", request_id)
    lines = [r.getMessage() for r in caplog.records if request_id in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("GET '/health' 200 ")
    assert "hush" not in caplog.text


@pytest.mark.parametrize("path", ["/health", "/nothing", "/api/gate", "/docs", "/openapi.json"])
def test_security_headers_are_everywhere(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert ("'unsafe-inline'" in headers["Content-Security-Policy"]) == (path == "/docs")
    assert "Server" not in headers
    assert "Access-Control-Allow-Origin" not in headers
    assert "Strict-Transport-Security" not in headers, "not without TLS"


def test_a_body_that_is_too_large_is_refused(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield b" " * 1024

    announced = client.post("/api/persons", content=b" " * 300_000)
    streamed = client.post(
        "/api/persons", content=endless(), headers={"Content-Type": "application/json"}
    )
    for answer in (announced, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    big = client.post("/api/auth/login", files={"username": (None, "x" * 12_000_000)})
    assert big.status_code == 413


@pytest.mark.parametrize("length", ["-1", "abc", "1e3"])
def test_a_false_length_is_refused(server: Running, length: str) -> None:
    address = urlsplit(server.address)
    with socket.create_connection((address.hostname or "", address.port or 0), 10) as raw:
        raw.sendall(
            b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + length.encode() + b"\r\n\r\n"
        )
        assert raw.recv(4096).split()[1] in {b"400", b"413"}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_documentation_loads_nothing_from_elsewhere(client: httpx.Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", answer.text)
    assert len(loaded) >= 2
    for address in loaded:
        assert address.startswith("/docs/"), address
        asset = client.get(address)
        assert asset.status_code == 200
        assert len(asset.content) > 1000
    assert "http" not in re.sub(r"<!--.*?-->", "", answer.text, flags=re.DOTALL)


def test_the_description_is_complete(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            documented = set(operation["responses"])
            if path.startswith("/api/") and path not in PUBLIC:
                assert {"401", "403"} <= documented, (method, path)
                assert operation["security"]
    problem = described["paths"]["/api/persons/{id}"]["get"]["responses"]["404"]["content"]
    assert list(problem) == ["application/problem+json"]


def test_the_first_page_says_where_to_go(client: httpx.Client) -> None:
    body = client.get("/").json()
    assert body["name"] == "gated"
    for link in (body["links"][k] for k in ("health", "docs", "redoc", "openapi")):
        assert client.get(link).status_code == 200
    assert json.loads(client.get("/health").text) == {"status": "ok", "problems": []}


def test_a_browser_is_sent_to_the_pages(client: httpx.Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = client.get("/", headers=browser)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/")


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/persons", '{"first_name": "A#", "last_name": "B", "personnel_code": "C"}'),
        ("POST", "/api/auth/login", '{"username": "A#", "password": "B"}'),
        ("POST", "/api/auth/password", '{"current_password": "A#", "new_password": "B"}'),
        ("POST", "/api/groups", '{"name": "A#"}'),
        ("POST", "/api/groups", '{"name": "A", "A#": 1}'),
        ("POST", "/api/accounts", '{"username": "A#", "password": "B", "role": "viewer"}'),
        ("PUT", "/api/persons/1/consent", '{"notice_version": "A#"}'),
    ],
)
def test_text_that_no_database_stores_is_refused(
    client: httpx.Client, character: str, method: str, path: str, body: str
) -> None:
    answer = client.request(
        method,
        path,
        content=body.replace("#", character),
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
