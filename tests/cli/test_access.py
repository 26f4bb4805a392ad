"""gated access explain."""

from __future__ import annotations

from pathlib import Path

from gated.access.credentials import Credentials
from gated.config import load
from gated.people.people import People
from tests.changes import done_by
from tests.cli.conftest import Gated
from tests.workspaces import open_workspace


def enrolled(config: Path) -> None:
    with open_workspace(load(config)) as workspace:
        people = People.of(workspace)
        person = done_by("test", people.create, {"personnel_code": "E17", "first_name": "Ann"})
        done_by("test", people.create, {"personnel_code": "E18", "first_name": "Bob"})
        done_by("test", people.set_active, person.id, False)


def test_why_somebody_would_not_pass(gated: Gated, config: Path) -> None:
    enrolled(config)
    refused = gated("access", "explain", "E17", "--config", config)
    assert refused.code == 1
    assert "Ann (E17)" in refused.out
    assert "would be refused: inactive" in refused.out
    assert "  NO active: the person is switched off" in refused.out
    assert "  ok schedule" in refused.out


def test_as_json_at_another_time(gated: Gated, config: Path) -> None:
    enrolled(config)
    at = ("--at", "2027-03-01T08:00")
    told = gated("access", "explain", "E18", *at, "--with", "face", "--json", "--config", config)
    assert told.code == 0
    assert told.json["outcome"] == "granted"
    assert told.json["at"] == "2027-03-01 08:00:00+00:00"
    assert told.json["shown"] == ["face"]
    assert {rule["outcome"] for rule in told.json["rules"]} == {"passed"}


def test_what_cannot_be_answered(gated: Gated, config: Path) -> None:
    enrolled(config)
    assert gated("access", "explain", "nobody", "--config", config).code == 1
    wrong = gated("access", "explain", "E18", "--at", "tomorrow", "--config", config)
    assert wrong.code == 2
    assert "no time such as" in wrong.err


def test_whose_card_it_is(gated: Gated, config: Path) -> None:
    enrolled(config)
    with open_workspace(load(config)) as workspace:
        person = People.of(workspace).by_code("E18")
        Credentials.of(workspace).add(person.id, "card", "1-23456", {"label": "blue"}, actor="test")
    told = gated("access", "whose-card", "01:23456", "--config", config)
    assert (told.code, told.out) == (0, "Bob (E18) (blue)\n")
    typed = gated("access", "whose-card", "--json", "--config", config, stdin="1-23456\n")
    assert (typed.code, typed.json["personnel_code"]) == (0, "E18")
    nobody = gated("access", "whose-card", "12-3456", "--config", config)
    assert (nobody.code, "nobody's" in nobody.err) == (1, True)
