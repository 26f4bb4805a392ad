"""gated persons: who is known here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

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
)
from gated.cli.common import CommandResult, config_option, json_option, one_line, reports, show_json

LISTED = 500


@click.group()
def persons() -> None:
    """The people whom the gate knows, by their personnel codes.

    Photos are enrolled with `gated enroll`, many people at once with `gated import`.

    \b
    Example: gated persons list
    """


@persons.command("list")
@click.option("--search", metavar="WORDS", help="Words of name, code, department ...")
@click.option("--group", metavar="NAME", help="Members of this group.")
@click.option("--department", help="Of this department.")
@click.option("--active/--inactive", "active", default=None, help="Who is switched on, or off.")
@click.option("--without-photo", is_flag=True, default=None, help="Who has no photo in use.")
@click.option(
    "--one-photo", is_flag=True, default=None, help="Who has one photo, or one picture twice."
)
@click.option("--visitors", is_flag=True, default=None, help="Visitors only.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=LISTED, show_default=True)
@json_option
@config_option
def list_(limit: int, as_json: bool, config: Path | None, **filters: Any) -> None:
    """List people by name.

    \b
    Example: gated persons list
    Example: gated persons list --search berg --inactive --json
    Example: gated persons list --one-photo
    """
    from gated.people.people import People

    filters["q"], filters["is_active"] = filters.pop("search"), filters.pop("active")
    with open_state(config) as workspace:
        people = People.of(workspace)
        found, total = people.list_(limit=limit, sort="last_name", **given(**filters))
        more = {o.id: o for o in people.overview([p.id for p in found])}
        seen = {id_: local(workspace, o.last_seen) for id_, o in more.items()}
    if as_json:
        show_json([{**asdict(p), **asdict(more[p.id])} for p in found])
        return
    rows = [
        (
            p.personnel_code, f"{p.last_name}, {p.first_name}".strip(", "), p.department,
            "on" if p.is_active else "off", more[p.id].photos, seen[p.id],
        )
        for p in found
    ]  # fmt: skip
    head = ("code", "name", "department", "state", "photos", "last seen")
    show_rows(head, rows, "nobody; add people with `gated persons add` or `gated import`")
    if total > len(found):
        click.echo(f"{len(found)} of {total}: narrow it down, or give --limit", err=True)


@persons.command("show")
@click.argument("code")
@json_option
@config_option
def show(code: str, as_json: bool, config: Path | None) -> None:
    """Show all that is set of a person: fields, groups, what they may do, photos, cards.

    \b
    Example: gated persons show E17
    """
    from gated.access.credentials import Credentials
    from gated.access.rules import Access
    from gated.core.photo_advice import PhotoAdvice
    from gated.people.people import People

    with open_state(config) as workspace:
        people = People.of(workspace)
        person, photos, groups = people.with_enrollments(people.by_code(code).id)
        advice = PhotoAdvice.of_photos(photos)
        rules = Access.of(workspace).of_person(person.id)
        cards = Credentials.of(workspace).list_(person.id)
        valid = [local(workspace, at) for at in (rules.valid_from, rules.valid_until)]
    if as_json:
        show_json({
            **asdict(person),
            "groups": [g.name for g in groups],
            "access": asdict(rules),
            "photos": [{"id": e.id, "is_active": e.is_active} for e in photos],
            "photo_advice": asdict(advice),
            "credentials": [asdict(c) for c in cards],
        })  # fmt: skip
        return
    lines = {
        "code": person.personnel_code,
        "name": person.name,
        "department": person.department,
        "position": person.position,
        "e-mail": person.email,
        "phone": person.phone,
        "state": "on" if person.is_active else "off",
        "last day": person.leaves_on,
        "groups": ", ".join(g.name for g in groups),
        "visitor": "yes" if rules.visitor else None,
        "valid from": valid[0],
        "valid until": valid[1],
        "photos": f"{sum(e.is_active for e in photos)} in use, {len(photos)} in all",
        "advice": advice.text,
        "cards": ", ".join(f"{c.kind} {c.label or c.id}" for c in cards),
    }
    for name, value in lines.items():
        if value:
            click.echo(f"{name:12} {value}")


def _fields(command: Any) -> Any:
    """The fields of a person as options."""
    for name, text in (
        ("phone", "Phone number."),
        ("email", "E-mail address."),
        ("position", "What they work as."),
        ("department", "Where they work."),
        ("last-name", "Family name."),
        ("first-name", "First name."),
    ):
        command = click.option(f"--{name}", help=text)(command)
    day = click.option("--leaves-on", metavar="DAY", help="The last day, such as 2026-12-31.")
    longer = click.option(
        "--extended-unlock/--usual-unlock", default=None, help="Whether the door stays open longer."
    )
    return longer(day(command))


@persons.command("add")
@click.argument("code")
@_fields
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Joins it; several times.")
@config_option
@reports
def add(code: str, groups: tuple[str, ...], config: Path | None, **fields: Any) -> CommandResult:
    """Add a person without a photo.

    \b
    Example: gated persons add E17 --first-name Anna --last-name Berg --group Staff
    """
    from gated.people.people import People
    from gated.people.schemas import PersonIn

    wanted = {"first_name": code, **given(**fields)}
    body = checked(PersonIn, {**wanted, "personnel_code": code, "groups": list(groups)})
    with changing(config) as (workspace, change):
        values = body.model_dump(exclude={"groups"})
        person = People.of(workspace).create(change, values, groups=body.groups)
    return CommandResult(asdict(person), f"{person.name} ({person.personnel_code}) added")


@persons.command("change")
@click.argument("code")
@_fields
@click.option("--code", "new_code", metavar="CODE", help="Another personnel code.")
@config_option
@reports
def change(code: str, new_code: str | None, config: Path | None, **fields: Any) -> CommandResult:
    """Change what is known of a person; what is not named stays. An empty text clears a field.

    \b
    Example: gated persons change E17 --last-name Berg-Dorn
    """
    from gated.people.people import People
    from gated.people.schemas import PersonChange

    values = given(personnel_code=new_code, **fields)
    if not values:
        raise click.UsageError("name what changes, such as --last-name")
    values = {name: None if value == "" else value for name, value in values.items()}
    body = checked(PersonChange, values).model_dump(exclude_unset=True)
    with changing(config) as (workspace, change):
        person = People.of(workspace).update(change, person_of(workspace, code).id, body)
    return CommandResult(asdict(person), f"{person.name} ({person.personnel_code}) changed")


@persons.command("on")
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@config_option
@reports
def on(codes: tuple[str, ...], config: Path | None) -> CommandResult:
    """Let people pass again.

    \b
    Example: gated persons on E17
    """
    return _switch(codes, True, config)


@persons.command("off")
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@config_option
@reports
def off(codes: tuple[str, ...], config: Path | None) -> CommandResult:
    """Let people pass no more; the gate obeys within a second.

    \b
    Example: gated persons off E17 E18
    """
    return _switch(codes, False, config)


def _switch(codes: tuple[str, ...], active: bool, config: Path | None) -> CommandResult:
    from gated.people.people import People

    with changing(config) as (workspace, change):
        people = People.of(workspace)
        done = [people.set_active(change, person_of(workspace, c).id, active) for c in codes]
    state = "on" if active else "off"
    lines = [f"{person.name} ({person.personnel_code}) is {state}" for person in done]
    return CommandResult([asdict(person) for person in done], "\n".join(lines))


@persons.command("erase")
@click.argument("code")
@click.option("--reason", callback=one_line, help="Why; needed with --override.")
@click.option("--override", is_flag=True, help="Although the law wants the record kept longer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@reports
def erase(
    code: str, reason: str | None, override: bool, yes: bool, config: Path | None
) -> CommandResult:
    """Erase a person with photos and templates for good; log rows stay without a name.

    \b
    Example: gated persons erase E17 --yes
    """
    from gated.people.people import People

    with open_state(config) as workspace:
        person = person_of(workspace, code)
        if not yes:
            click.confirm(f"erase {person.name} ({code}) for good?", abort=True, err=True)
        with workspace.change(ACTOR) as change:
            receipt = People.of(workspace).delete(
                change, person.id, reason=reason, override=override
            )
        state = workspace.traces_state()
    record = {**asdict(receipt), "state": state}
    text = f"{person.personnel_code} erased: {receipt.enrollments} photos, {receipt.files} files"
    text = f"{text}, row {receipt.seq} of the journal proves it"
    if receipt.texts_left:
        text += f"; {receipt.texts_left} texts about other people still name this one"
    return CommandResult(record, text)
