"""What front ends of others stumble over: parameters, slashes, methods, other origins."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import httpx
import pytest

from gated.config import ApiSettings
from gated.web.app import create_app
from gated.web.server import ApiServer
from tests.fixtures.server import Running, serving
from tests.web.table import ALLOWED, Route, read_table

BY_PROVIDERS = "/api/auth/company/return"
"""Identity providers add parameters of their own, which OpenID Connect wants ignored."""

ASKED = [
    r
    for r in read_table()
    if r.path.startswith("/api/") and r.method == "GET" and r.path != BY_PROVIDERS
]
OF_A_HUB = "/api/sync/"
FRIEND = "https://hr.example.org"


@pytest.fixture(scope="module")
def admin(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


@pytest.mark.parametrize("route", ASKED, ids=[r.path for r in ASKED])
def test_no_route_takes_a_parameter_that_it_does_not_have(
    server: Running, admin: httpx.Client, route: Route
) -> None:
    address = route.address + "?nothing_like_it=1"
    if route.path.startswith(OF_A_HUB):
        assert admin.get(address).status_code == 404  # of a gate there are no such routes
        return
    if "admin" in ALLOWED[route.who]:
        answer = admin.get(address)
    else:
        with server.client(route.who) as program:
            answer = program.get(address)
    assert answer.status_code == 422, answer.text
    found = answer.json()
    assert found["code"] == "unknown_parameter"
    assert [e["at"] for e in found["errors"]] == ["query.nothing_like_it"]
    if route.who != "anyone":
        assert httpx.get(server.address + address, trust_env=False).status_code == 401


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("/api/persons?limt=5", "limit"),
        ("/api/persons?Limit=5", "limit"),
        ("/api/persons?is_actve=true&departement=HR", "is_active"),
        ("/api/attendance?personid=1", "person_id"),
        ("/api/attendance?form=2026-01-01", "from"),
        ("/api/gate/events?last_event=1", "last_event_id"),
    ],
)
def test_a_parameter_that_is_written_wrong_is_guessed(
    admin: httpx.Client, address: str, meant: str
) -> None:
    found = admin.get(address).json()
    assert f"did you mean `{meant}`?" in found["errors"][0]["detail"]
    assert f"did you mean `{meant}`?" in found["detail"]


def test_changes_are_not_made_with_unknown_parameters(admin: httpx.Client) -> None:
    body = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "Q1"}
    assert admin.post("/api/persons?dry_run=true", json=body).status_code == 422
    assert admin.get("/api/persons").json() == []


def test_names_of_parameters_are_repeated_within_bounds(admin: httpx.Client) -> None:
    many = admin.get("/api/persons", params={f"x{n}{'e' * 300}": "1" for n in range(30)})
    assert many.status_code == 422
    assert len(many.json()["errors"]) == 20
    assert len(many.content) < 16_000
    hidden = admin.get("/api/persons?%ed%a0%80=1&a%0a=2")
    assert hidden.status_code == 422
    assert "\n" not in hidden.json()["detail"]


def test_a_slash_at_the_end_makes_no_difference(server: Running, admin: httpx.Client) -> None:
    body = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "S1"}
    made = admin.post("/api/persons/", json=body)
    assert made.status_code == 201
    id_ = made.json()["id"]
    assert admin.get(f"/api/persons/{id_}/").json()["personnel_code"] == "S1"
    assert admin.get("/api/persons/?q=S1").headers["X-Total-Count"] == "1"
    assert httpx.get(f"{server.address}/api/persons/", trust_env=False).status_code == 401
    assert admin.get("/api/persons//").status_code == 404
    assert admin.get("/api/").status_code == 404
    assert admin.delete(f"/api/persons/{id_}/").status_code == 200


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/persons", "GET, HEAD, POST"),
        ("/api/persons/7", "DELETE, GET, HEAD, PUT"),
        ("/api/persons/7/", "DELETE, GET, HEAD, PUT"),
        ("/api/auth/session", "DELETE, GET, HEAD, POST"),
        ("/api/access/holidays/2026-01-01", "DELETE, PUT"),
        ("/health", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_there_is_told_the_others(
    admin: httpx.Client, path: str, methods: str
) -> None:
    answer = admin.request("TRACE", path)
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["Allow"] == methods


@pytest.mark.parametrize("route", ASKED, ids=[r.path for r in ASKED])
def test_head_answers_as_get_without_a_body(
    server: Running, admin: httpx.Client, route: Route
) -> None:
    """Also of a stream, which would go on."""
    with admin.stream("GET", route.address) as asked:
        status, kind = asked.status_code, asked.headers.get("content-type")
        length = asked.headers.get("content-length")
    answer = admin.head(route.address)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, kind)
    assert answer.content == b""
    if status == 200:
        assert answer.headers.get("content-length") == length
    if route.who != "anyone":
        assert httpx.head(server.address + route.address, trust_env=False).status_code in (401, 404)


def test_head_is_not_had_where_nothing_is_read(admin: httpx.Client) -> None:
    answer = admin.head("/api/auth/login")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_another_origin_may_send_and_read_what_it_needs(server: Running) -> None:
    settings = ApiSettings(port=0, cors_origins=(FRIEND,))
    whole = server.services.settings.model_copy(update={"api": settings})
    services = dataclasses.replace(server.services, settings=whole)
    wanted = "authorization, content-type, if-match, last-event-id, x-csrf-token"
    ask = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": wanted}
    with serving(ApiServer(create_app(services), settings)) as address:
        about = httpx.options(
            f"{address}/api/persons/7", headers={"Origin": FRIEND, **ask}, trust_env=False
        )
        refused = httpx.get(f"{address}/api/persons", headers={"Origin": FRIEND}, trust_env=False)
    assert about.status_code == 200
    assert set(_listed(about, "Allow-Headers")) >= set(re.split(", ", wanted))
    assert refused.status_code == 401
    assert {"x-total-count", "link", "etag", "location", "retry-after"} <= set(
        _listed(refused, "Expose-Headers")
    )


def _listed(answer: httpx.Response, header: str) -> list[str]:
    return answer.headers[f"Access-Control-{header}"].lower().split(", ")
