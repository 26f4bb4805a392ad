"""What is wrong with a request is said in words for people, not in the validator's."""

from __future__ import annotations

from datetime import date, time
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gated.core.plain_words import in_plain_words
from tests.fixtures.server import Running


class Way(StrEnum):
    IN = "in"
    OUT = "out"


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=3, max_length=5)] = "abc"
    letter: Annotated[str, Field(min_length=1)] = "a"
    number: Annotated[float, Field(gt=0, le=600)] = 1
    whole: int = 1
    way: Way = Way.IN
    kind: Literal["a", "b"] = "a"
    switch: bool = True
    names: Annotated[list[str], Field(min_length=1)] = ["a"]
    at: AwareDatetime | None = None
    day: date | None = None
    hour: time | None = None
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "ab"}, "must have at least 3 characters"),
        ({"letter": ""}, "must not be empty"),
        ({"text": "abcdef"}, "must have at most 5 characters"),
        ({"text": 5}, "must be a text"),
        ({"number": 0}, "must be more than 0"),
        ({"number": 601}, "must be at most 600"),
        ({"number": "soon"}, "must be a number"),
        ({"whole": "1.5"}, "must be a whole number"),
        ({"whole": 1.5}, "must be a whole number"),
        ({"way": "up"}, "must be one of in or out"),
        ({"kind": "c"}, "must be one of a or b"),
        ({"switch": "perhaps"}, "must be true or false"),
        ({"names": []}, "must not be empty"),
        ({"names": "a"}, "must be a list"),
        ({"at": "2026-03-01T08:00:00"}, "must be a date with a time and its offset, such as"),
        ({"at": "soon"}, "must be a date with a time, such as 2026-03-01T08:00:00Z"),
        ({"day": "soon"}, "must be a date, such as 2026-03-01"),
        ({"hour": "soon"}, "must be a time, such as 08:00"),
        ({"inner": 3}, "must be an object with names and values"),
        ({"more": 3}, "is not known here"),
    ],
)
def test_plain_words(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Given.model_validate(given)
    (error,) = refused.value.errors()
    found = in_plain_words(error["type"], error["msg"], error.get("ctx") or {})
    assert found.startswith(said)
    assert "input" not in found.lower()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("open", {"reason": " "}, "body.reason: must not be empty"),
        ("open", {}, "body.reason: is needed"),
        ("open", {"reason": "parcel", "for_s": 0}, "body.for_s: must be more than 0"),
        ("open", {"reason": "parcel", "for_s": 601}, "body.for_s: must be at most 600"),
        ("open", {"reason": "parcel", "for": 5}, "body.for: is not known here"),
    ],
)
def test_a_door_says_plainly_what_it_does_not_take(
    server: Running, path: str, body: dict[str, Any], said: str
) -> None:
    with server.client("operator") as operator:
        answer = operator.post(f"/api/gate/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == said


def test_pages_get_the_rule_and_its_limit_for_words_of_their_own(server: Running) -> None:
    with server.client("operator") as operator:
        body = {"reason": "", "for_s": 601, "for": 5}
        told = operator.post("/api/gate/open", json=body).json()["errors"]
        places = {one["at"]: (one.get("rule"), one.get("limit")) for one in told}
        assert places == {
            "body.reason": ("empty", None),
            "body.for_s": ("at_most", "600"),
            "body.for": ("unknown", None),
        }
        dates = {"valid_from": "2026-03-02", "valid_until": "2026-03-01"}
        (early,) = operator.put("/api/persons/1/access", json=dates).json()["errors"]
        assert (early["rule"], early["detail"]) == (
            "ends_early",
            "valid_until must be after valid_from",
        )


def test_what_does_not_fit_what_is_there_has_a_name_too(server: Running) -> None:
    wish = {"created_at": "2026-03-01T08:00:00Z", "direction": "entry", "reason": "forgotten"}
    with server.client("viewer") as nobody:
        refused = nobody.post("/api/correction-requests", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
    (why,) = refused.json()["errors"]
    assert (why["at"], why["rule"]) == ("body", "nobodys_account")
    assert why["detail"] == refused.json()["detail"]


def test_a_year_that_no_clock_reaches_has_a_name(server: Running) -> None:
    at = {
        "person_id": 1,
        "direction": "entry",
        "reason": "test",
        "created_at": "9999-12-31T23:59:59-12:00",
    }
    with server.client("operator") as operator:
        (why,) = operator.post("/api/attendance", json=at).json()["errors"]
    assert (why["at"], why["rule"]) == ("body.created_at", "year")
    assert why["detail"].startswith("a year from 1 to 9999")


def test_modes_are_named(server: Running) -> None:
    with server.client("operator") as operator:
        answer = operator.put("/api/gate/mode", json={"mode": "ajar", "reason": "drill"})
    assert answer.json()["detail"].startswith("body.mode: must be one of normal, ")
