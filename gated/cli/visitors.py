"""gated visitors: people who pass for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import (
    ACTOR,
    changing,
    checked,
    given,
    local,
    open_state,
    person_of,
    show_rows,
    site_time,
    yes,
)
from gated.cli.common import CommandResult, config_option, json_option, reports, show_json

if TYPE_CHECKING:
    from gated.database.records import Person
    from gated.workspace import Workspace

TODAY = "18:00"
"""Until when a visitor passes who was given no end."""


@click.group()
def visitors() -> None:
    """People who pass for a while: today until six, if nothing else is said.

    \b
    Example: gated visitors add V1 Eva Gast
    """


@visitors.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List the visitors and until when they pass.

    \b
    Example: gated visitors list
    """
    from gated.access.rules import Access
    from gated.people.people import People

    with open_state(config) as workspace:
        found, _ = People.of(workspace).list_(visitors=True, sort="last_name")
        access = Access.of(workspace)
        rules = {p.id: access.of_person(p.id) for p in found}
        times = {
            id_: (local(workspace, r.valid_from), local(workspace, r.valid_until))
            for id_, r in rules.items()
        }
    if as_json:
        show_json([{**asdict(p), "access": asdict(rules[p.id])} for p in found])
        return
    rows = [(p.personnel_code, p.name, *times[p.id], yes(rules[p.id].needs_escort)) for p in found]
    show_rows(("code", "name", "from", "until", "escort"), rows, "no visitors")


@visitors.command("add")
@click.argument("code")
@click.argument("first_name")
@click.argument("last_name")
@click.option(
    "--until", default=TODAY, show_default=True, metavar="TIME",
    help="Such as 16:00 (today) or 2026-12-24 (the whole day).",
)  # fmt: skip
@click.option("--from", "since", metavar="TIME", help="Default: now.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="By whose rules they pass.")
@click.option("--card", metavar="NUMBER", help="A card for the visit.")
@click.option("--next-card", is_flag=True, help="The next card that is held to the gate's reader.")
@click.option("--escort/--alone", default=False, help="Passes with somebody who may escort only.")
@config_option
@reports
def add(
    code: str,
    first_name: str,
    last_name: str,
    until: str,
    since: str | None,
    groups: tuple[str, ...],
    card: str | None,
    next_card: bool,
    escort: bool,
    config: Path | None,
) -> CommandResult:
    """Add a visitor who passes until a TIME on the clock of the site.

    They are recognised by a card, or by a photo (gated enroll CODE PHOTO). After the time they pass
    no more, whatever they show.

    \b
    Example: gated visitors add V1 Eva Gast --next-card
    Example: gated visitors add V2 Jo Oz --until 2026-12-24 --escort
    """
    from gated.access.rules import Access
    from gated.cli.cards import number_of
    from gated.people.people import People
    from gated.people.schemas import PersonIn

    names = {"personnel_code": code, "first_name": first_name, "last_name": last_name}
    body = checked(PersonIn, {**names, "groups": list(groups)})
    with open_state(config) as workspace:
        begin, end = site_time(workspace, since), site_time(workspace, until, is_end=True)
        now = datetime.fromtimestamp(workspace.clock.now().utc, UTC)
        if end is None or end <= (begin or now):
            raise click.UsageError(f"{until} is over: say --until when")
        number = number_of(workspace, card, next_card)
        with workspace.change(ACTOR) as change:
            values = body.model_dump(exclude={"groups"})
            person = People.of(workspace).create(change, values, groups=body.groups)
            dates = given(valid_from=begin, valid_until=end)
            rules = {"visitor": True, "needs_escort": escort, **dates}
            access = Access.of(workspace).set_of_person(change, person.id, rules)
        if number is not None:
            _give(workspace, person, number, dates)
        shown = local(workspace, end)
    record = {**asdict(person), "access": asdict(access), "card": number is not None}
    with_card = " with a card" if number else ""
    return CommandResult(record, f"{person.name} ({code}) passes until {shown}{with_card}")


def _give(workspace: Workspace, person: Person, number: str, dates: Mapping[str, Any]) -> None:
    """Give the visitor a card; a refusal says that the visitor is entered already."""
    from gated.cli.cards import give_card
    from gated.errors import Conflict, Refused

    try:
        give_card(workspace, person, number, "visit", dates)
    except (Refused, click.UsageError) as error:
        code = person.personnel_code
        raise Conflict(
            f"{code} is added, without a card: {error}: gated cards give {code}"
        ) from None


@visitors.command("extend")
@click.argument("code")
@click.option("--until", required=True, metavar="TIME", help="Such as 20:00 (today).")
@config_option
@reports
def extend(code: str, until: str, config: Path | None) -> CommandResult:
    """Let a visitor pass longer, or less long.

    \b
    Example: gated visitors extend V1 --until 20:00
    """
    from gated.access.rules import Access

    with changing(config) as (workspace, change):
        end = site_time(workspace, until, is_end=True)
        person = person_of(workspace, code)
        access = Access.of(workspace).set_of_person(change, person.id, {"valid_until": end})
        shown = local(workspace, end)
    record = {**asdict(person), "access": asdict(access)}
    return CommandResult(record, f"{person.name} ({person.personnel_code}) passes until {shown}")


@visitors.command("end")
@click.argument("code")
@config_option
@reports
def end(code: str, config: Path | None) -> CommandResult:
    """Let a visitor pass no more, and take the cards away.

    \b
    Example: gated visitors end V1
    """
    from gated.access.credentials import Credentials
    from gated.change import GALLERY, RULES
    from gated.people.people import People

    with changing(config) as (workspace, change):
        change.touches(GALLERY, RULES)
        person = person_of(workspace, code)
        credentials = Credentials.of(workspace)
        cards = [c.id for c in credentials.list_(person.id)]
        person = People.of(workspace).set_active(change, person.id, False)
        for id_ in cards:
            credentials.delete(change, id_)
    record = {**asdict(person), "credentials_withdrawn": cards}
    return CommandResult(record, f"{person.name} ({code}) is off; {len(cards)} cards taken")
