"""gated access."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gated.cli.common import config_option, json_option, settings_of

if TYPE_CHECKING:
    from gated.access.explain import Explanation
    from gated.live.refused_visits import VisitComparison

FACTORS = ("face", "card", "pin", "qr")
MARKS = {"passed": "ok", "refused": "NO", "missing": "??"}


@click.group()
def access() -> None:
    """The rules of access.

    \b
    Example: gated access explain E17
    """


@access.command()
@click.argument("code")
@click.option("--at", metavar="TIME", help="When, such as 2026-12-24T17:30; default: now.")
@click.option(
    "--with",
    "shown",
    multiple=True,
    type=click.Choice(FACTORS),
    help="What they show (several times for several); default: what they have.",
)
@json_option
@config_option
def explain(
    code: str, at: str | None, shown: tuple[str, ...], as_json: bool, config: Path | None
) -> int:
    """Explain why the person with this personnel CODE would or would not pass.

    Asks the rules that the gate asks. Who is inside is what the log says now. A TIME without a zone
    is one on the clock of the site. Exit code 1 when they would not be let in.

    \b
    Example: gated access explain E17
    Example: gated access explain E17 --at 2026-12-24T17:30 --with card --with pin --json
    """
    from gated.access.explain import explain as explain_
    from gated.core.values import Method
    from gated.workspace import Workspace

    moment = _moment(at)
    with Workspace(settings_of(config), create=False) as workspace:
        result = explain_(workspace, code, moment, [Method(name) for name in shown])
    click.echo(json.dumps(asdict(result), indent=2, default=str) if as_json else _in_words(result))
    return int(result.outcome != "granted")


@access.command("compare")
@click.argument("visit")
@click.argument("code")
@json_option
@config_option
def compare(visit: str, code: str, as_json: bool, config: Path | None) -> int:
    """Return whether the refused VISIT was that of the person with this personnel CODE.

    VISIT is `visit_uid` in the attendance log. Needs privacy.denials_hours, which keeps refused
    visits so long; each question is journaled. Exit code 1 when it was not
    them, or nobody can say.

    \b
    Example: gated access compare 0198c2f0-7 E17
    """
    from gated.errors import NotFound
    from gated.live.refused_visits import Likeness, RefusedVisits
    from gated.people import person_store
    from gated.workspace import Workspace

    settings = settings_of(config)
    with Workspace(settings, create=False) as workspace, workspace.change("command line") as change:
        person = person_store.by_code(change.session, code)
        if person is None:
            raise NotFound(f"nobody has the personnel code {code}")
        result = RefusedVisits.of(workspace).compare(change, visit, person.id)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    else:
        click.echo(_compared_in_words(result, person.name))
    return int(result.likeness is not Likeness.ALIKE)


@access.command("whose-card")
@click.argument("number", required=False)
@json_option
@config_option
def whose_card(number: str | None, as_json: bool, config: Path | None) -> int:
    """Look up whose card has this NUMBER, blocked or not; asks for it when it is not given.

    Hold the card to a reader that types like a keyboard, or type what is printed on it. Each
    look-up is journaled. Exit code 1 when it is nobody's.

    \b
    Example: gated access whose-card
    Example: gated access whose-card 188-24910 --json
    """
    from gated.access.credentials import Credentials
    from gated.errors import NotFound
    from gated.workspace import Workspace

    settings = settings_of(config)
    text = number or click.prompt("Card number", err=True)
    with Workspace(settings, create=False) as workspace, workspace.change("command line") as change:
        found = Credentials.of(workspace).owner(change, str(text).strip())
    if found is None:
        raise NotFound("this card is nobody's")
    person, card = found
    result = {
        "personnel_code": person.personnel_code,
        "name": person.name,
        "label": card.label,
        "is_active": card.is_active,
        "valid_from": card.valid_from,
        "valid_until": card.valid_until,
    }
    if as_json:
        click.echo(json.dumps(result, default=str))
    else:
        state = "" if card.is_active else ", blocked"
        label = f" ({card.label})" if card.label else ""
        click.echo(f"{person.name} ({person.personnel_code}){state}{label}")
    return 0


def _compared_in_words(result: VisitComparison, name: str) -> str:
    said = {
        "alike": f"as alike as the gate wants: it was {name}, by the face",
        "almost": f"alike, less than the gate wants: it may have been {name}",
        "unlike": f"no more alike than strangers are: it was not {name}, or not to be recognised",
        "not_compared": f"nothing to compare: no usable frame, or no template of {name}",
    }[result.likeness]
    lines = [said, f"refused: {result.reason}", f"usable frames: {result.usable}"]
    if result.missing:
        lines.append(f"missing frames: {result.missing}")
    if result.flaws:
        lines.append(f"what was wrong with the others: {', '.join(result.flaws)}")
    return "\n".join(lines)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time such as 2026-12-24T17:30") from None


def _in_words(result: Explanation) -> str:
    who = f"{result.person.name} ({result.person.personnel_code})"
    when = f"{result.at:%A, %Y-%m-%d %H:%M}"
    verdict = {
        "granted": f"would be let in: {result.direction}",
        "denied": f"would be refused: {result.reason}",
        "waits": f"would be let in after one thing more: {result.rule}",
    }[result.outcome]
    lines = [f"{who}, {when}, with {' and '.join(result.shown)}, {verdict}"]
    lines += [text for text in (result.text, result.lacks) if text]
    if result.opens_at is not None:
        lines.append(f"opens {result.opens_at:%A, %Y-%m-%d %H:%M}")
    lines.append(f"groups: {', '.join(result.groups) or 'none'}")
    lines.append(f"schedules: {', '.join(result.schedules) or 'none'}")
    lines += [
        f"  {MARKS[said.outcome]} {said.rule}{': ' + said.text if said.text else ''}"
        for said in result.rules
    ]
    return "\n".join(lines)
