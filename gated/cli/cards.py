"""gated cards: given, taken away, replaced, and read at the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import (
    ACTOR,
    changing,
    given,
    local,
    open_state,
    person_of,
    show_rows,
    site_time,
)
from gated.cli.common import CommandResult, config_option, json_option, reports, show_json

if TYPE_CHECKING:
    from gated.database.records import Credential, Person
    from gated.workspace import Workspace

WAIT_S = 30.0

_number = click.argument("number", required=False)
_next = click.option(
    "--next", "next_card", is_flag=True, help="The next card that is held to the gate's reader."
)


@click.group()
def cards() -> None:
    """Cards of people: given, withdrawn, replaced.

    A number is as the reader types it, or as it is printed. With --next the running gate waits half
    a minute for a card at its reader, which opens nothing that once.

    \b
    Example: gated cards give E17 --next
    """


@cards.command("list")
@click.argument("code")
@json_option
@config_option
def list_(code: str, as_json: bool, config: Path | None) -> None:
    """List the cards, badges and the PIN of a person, without what they hold.

    \b
    Example: gated cards list E17
    """
    from gated.access.credentials import Credentials

    with open_state(config) as workspace:
        found = Credentials.of(workspace).list_(person_of(workspace, code).id)
        until = [local(workspace, c.valid_until) for c in found]
    if as_json:
        show_json([asdict(c) for c in found])
        return
    rows = [
        (c.id, c.kind, c.label, "on" if c.is_active else "blocked", end)
        for c, end in zip(found, until, strict=True)
    ]
    show_rows(("id", "kind", "label", "state", "until"), rows, "no cards")


@cards.command("give")
@click.argument("code")
@_number
@_next
@click.option("--label", help="What is printed on it, or what it looks like.")
@click.option("--until", metavar="TIME", help="Until when it counts, such as 2026-12-31.")
@config_option
@reports
def give(
    code: str,
    number: str | None,
    next_card: bool,
    label: str | None,
    until: str | None,
    config: Path | None,
) -> CommandResult:
    """Give a person a card; the gate knows it at once.

    \b
    Example: gated cards give E17 188-24910 --label blue
    Example: gated cards give E17 --next
    """
    with open_state(config) as workspace:
        person = person_of(workspace, code)
        end = site_time(workspace, until, is_end=True)
        card = _needed(number_of(workspace, number, next_card))
        made = give_card(workspace, person, card, label, given(valid_until=end))
    return CommandResult(
        asdict(made), f"{person.name} ({person.personnel_code}) has card {made.id}"
    )


@cards.command("withdraw")
@click.argument("code")
@click.option("--card", metavar="ID", type=int, help="Which, where there are several.")
@click.option("--all", "everything", is_flag=True, help="All cards, badges and the PIN.")
@config_option
@reports
def withdraw(code: str, card: int | None, everything: bool, config: Path | None) -> CommandResult:
    """Take a card away for good; the gate refuses it at once.

    \b
    Example: gated cards withdraw E17
    """
    from gated.access.credentials import Credentials

    with changing(config) as (workspace, change):
        credentials = Credentials.of(workspace)
        person = person_of(workspace, code)
        found = credentials.list_(person.id)
        gone = found if everything else [_one(found, card)]
        for credential in gone:
            credentials.delete(change, credential.id)
    record = {"personnel_code": person.personnel_code, "withdrawn": [c.id for c in gone]}
    return CommandResult(record, f"{person.name} ({code}): {len(gone)} taken")


@cards.command("block")
@click.argument("code")
@click.option("--card", metavar="ID", type=int, help="Which, where there are several.")
@click.option("--release", is_flag=True, help="Let it count again.")
@config_option
@reports
def block(code: str, card: int | None, release: bool, config: Path | None) -> CommandResult:
    """Block a card for a while, or release it.

    \b
    Example: gated cards block E17
    """
    from gated.access.credentials import Credentials

    with changing(config) as (workspace, change):
        credentials = Credentials.of(workspace)
        chosen = _one(credentials.list_(person_of(workspace, code).id), card)
        changed = credentials.update(change, chosen.id, {"is_active": release})
    state = "released" if release else "blocked"
    return CommandResult(asdict(changed), f"card {changed.id} is {state}")


@cards.command("replace")
@click.argument("code")
@_number
@_next
@click.option("--card", metavar="ID", type=int, help="The lost one, where there are several.")
@config_option
@reports
def replace(
    code: str,
    number: str | None,
    next_card: bool,
    card: int | None,
    config: Path | None,
) -> CommandResult:
    """Withdraw a lost card and give another one in its place, with its label and its dates.

    The lost one is blocked first, whatever comes of the new one. It stays with the person, blocked:
    whoever finds it learns whose it was. `gated cards withdraw` removes it.

    \b
    Example: gated cards replace E17 --next
    """
    from gated.access.credentials import Credentials

    with open_state(config) as workspace:
        credentials = Credentials.of(workspace)
        person = person_of(workspace, code)
        found = credentials.list_(person.id)
        # beside one in use, blocked cards are those that were lost before
        in_use = [c for c in found if c.is_active and c.kind == "card"]
        lost = _one(found if card is not None else in_use or found, card)
        # what was typed wrongly is said before anything is blocked
        _one_way(number, next_card)
        if not next_card:
            _needed(number)
        with workspace.change(ACTOR) as change:
            credentials.update(change, lost.id, {"is_active": False})
        new = _needed(number_of(workspace, number, next_card))
        dates = given(valid_from=lost.valid_from, valid_until=lost.valid_until)
        made = give_card(workspace, person, new, lost.label, dates)
    text = (
        f"{person.name} ({person.personnel_code}) has card {made.id} in the place of {lost.id}, "
        "which is blocked"
    )
    return CommandResult(asdict(made), text)


@cards.command("next")
@click.option("--for", "within_s", type=click.FloatRange(1, 120), default=WAIT_S, metavar="S")
@json_option
@config_option
def next_(within_s: float, as_json: bool, config: Path | None) -> None:
    """Wait for the next card at the gate's reader, and tell its number and whose it is.

    The card opens nothing that once; the look-up is journaled.

    \b
    Example: gated cards next
    """
    from gated.access.credentials import Credentials

    with open_state(config) as workspace:
        number = _next_card(workspace, within_s)
        with workspace.change(ACTOR) as change:
            found = Credentials.of(workspace).owner(change, number)
    owner = None if found is None else found[0]
    if as_json:
        code = owner and owner.personnel_code
        show_json({"number": number, "personnel_code": code, "name": owner and owner.name})
    else:
        whose = "nobody's" if owner is None else f"{owner.name} ({owner.personnel_code})"
        click.echo(f"{number}: {whose}")


def number_of(workspace: Workspace, number: str | None, next_card: bool) -> str | None:
    """Return the number that was typed, or that the gate's reader reads next."""
    _one_way(number, next_card)
    return _next_card(workspace, WAIT_S) if next_card else number


def _one_way(number: str | None, next_card: bool) -> None:
    if number is not None and next_card:
        raise click.UsageError("a number or the next card, not both")


def give_card(
    workspace: Workspace, person: Person, number: str, label: str | None, dates: Mapping[str, Any]
) -> Credential:
    """Give a person a card. Raises: Conflict, BelongsToHub, CardRefused."""
    from gated.access.credentials import Credentials
    from gated.access.schemas import CredentialIn
    from gated.cli.acting import checked

    # times before now were refused when they were read; the schema knows the form of a number
    checked(CredentialIn, {"kind": "card", "number": number, "label": label})
    fields = {"label": label, **_only_times(dates)}
    made, _ = Credentials.of(workspace).add(person.id, "card", number, fields, actor=ACTOR)
    return made


def _only_times(dates: Mapping[str, Any]) -> dict[str, datetime]:
    return {name: at for name, at in dates.items() if isinstance(at, datetime)}


def _next_card(workspace: Workspace, within_s: float) -> str:
    from gated.link.command import running_door

    hold = f"hold the card to the reader within {within_s:.0f} s ..."
    with running_door(workspace.settings.storage.state_dir) as gate:
        return gate.next_card(within_s, lambda: click.echo(hold, err=True))


def _needed(number: str | None) -> str:
    if number is None:
        raise click.UsageError("give the number of the card, or --next to read it at the gate")
    return number


def _one(found: Sequence[Credential], id_: int | None) -> Credential:
    """Return the card that is meant. Raises: NotFound, click.UsageError."""
    from gated.errors import NotFound

    meant = [c for c in found if c.kind == "card"] if id_ is None else []
    meant = [c for c in found if c.id == id_] if id_ is not None else meant
    if not meant:
        raise NotFound("this person has no such card: `gated cards list CODE` shows them")
    if len(meant) > 1:
        ids = ", ".join(f"{c.id} ({c.label})" if c.label else str(c.id) for c in meant)
        raise click.UsageError(f"there are several: --card {ids}")
    return meant[0]
