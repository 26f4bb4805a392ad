"""gated hub: the gates of the fleet, on the machine that is their hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.common import (
    CommandResult,
    config_option,
    json_option,
    one_line,
    reports,
    settings_of,
    show_table,
)
from gated.cli.rollouts import configure, rollout

if TYPE_CHECKING:
    from gated.fleet.hub.fleet import FleetGate

if TYPE_CHECKING:
    from gated.fleet.hub.review import Review, ReviewedEdit

ACTOR = "command line"
STATES = ("invited", "joined", "revoked", "silent", "troubled")


@click.group()
def hub() -> None:
    """The gates that belong to this hub.

    \b
    Example: gated hub invite north-gate --site works --everyone
    """


hub.add_command(configure)
hub.add_command(rollout)


@hub.command("gates")
@click.option("--state", type=click.Choice(STATES), help="Only these.")
@click.option("--site", help="Only those at this site.")
@json_option
@config_option
def gates(state: str | None, site: str | None, as_json: bool, config: Path | None) -> None:
    """List the gates: when each was last heard of, and how it was then.

    Settings are the revision that a gate runs; `3>4 waiting`: it was given another one.

    \b
    Example: gated hub gates --state troubled
    """
    from gated.fleet.hub.fleet import Fleet
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        found, _ = Fleet.of(workspace).list_(state=state, site=site)
    if as_json:
        click.echo(json.dumps([_view(f) for f in found]))
    elif found:
        show_table(_COLUMNS, [_row(f) for f in found])
    else:
        none = "no such gates" if state or site else "no gates yet"
        click.echo(f"{none}; let one join: gated hub invite NAME --site SITE --everyone")


_COLUMNS = (
    *("NAME", "SITE", "STATE", "SEEN", "VERSION", "MODEL", "PEOPLE", "SETTINGS"),
    *("CLOCK", "DISK", "BACKLOG", "TROUBLES"),
)


def _view(found: FleetGate) -> dict[str, Any]:
    gate = found.gate
    return {
        "name": gate.name,
        "site": gate.site,
        "state": gate.state,
        "groups": list(found.groups),
        "everyone": gate.everyone,
        "seen_at": gate.seen_at and gate.seen_at.isoformat(),
        "model": gate.model,
        "configuration": found.wanted,
        "troubles": list(found.troubles),
        "reported": asdict(found.reported),
        "status": gate.status,
    }


def _row(found: FleetGate) -> tuple[str, ...]:
    gate, view = found.gate, found.reported
    offset, disk = view.clock_offset_s, view.disk_free
    return (
        gate.name,
        gate.site,
        gate.state,
        f"{gate.seen_at:%Y-%m-%d %H:%M:%S}" if gate.seen_at else "never",
        view.version or "",
        (gate.model or "").partition("/")[0][:12],
        "" if view.people is None else str(view.people),
        _settings_in_words(found),
        "" if offset is None else f"{offset:+.1f} s",
        "" if disk is None else f"{disk / 1e9:.1f} GB",
        "" if view.backlog is None else str(view.backlog),
        ", ".join(found.troubles),
    )


def _settings_in_words(found: FleetGate) -> str:
    view = found.reported.settings
    if view.state == "running" and view.revision == found.wanted:
        return str(view.revision or "-")
    if found.wanted == view.revision == 0:
        return "-"
    return f"{view.revision}>{found.wanted} {view.state or ''}".strip()


@hub.command("invite")
@click.argument("name")
@click.option("--site", required=True, help="Where the gate stands.")
@click.option("--group", "groups", multiple=True, help="A group whose members it is given.")
@click.option("--everyone", is_flag=True, help="It is given everybody.")
@click.option("--photos", is_flag=True, help="It is given reference photos, too.")
@click.option(
    "--edits",
    type=click.Choice(["none", "pending", "at_once"]),
    default="none",
    show_default=True,
    help="What operators may change there, before the hub accepts it or not.",
)
@config_option
@reports
def invite(
    name: str,
    site: str,
    groups: tuple[str, ...],
    everyone: bool,
    photos: bool,
    edits: str,
    config: Path | None,
) -> CommandResult:
    """Add a gate and show the code by which it joins, once and within a day.

    \b
    Example: gated hub invite north-gate --site works --group staff --group visitors
    """
    from gated.fleet.hub.fleet import Fleet
    from gated.workspace import Workspace

    wanted = {"groups": groups, "everyone": everyone, "photos": photos, "edits": edits}
    with Workspace(settings_of(config)) as workspace:
        _, code = Fleet.of(workspace).invite(name, site, wanted, actor=ACTOR)
    return _invited(name, code)


@hub.command("replace-gate")
@click.argument("name")
@config_option
@reports
def replace_gate(name: str, config: Path | None) -> CommandResult:
    """Void a gate's credentials and show a code for the hardware that takes its place.

    The new unit keeps name, site and groups of the old one, and is given the same people.

    \b
    Example: gated hub replace-gate north-gate
    """
    from gated.fleet.hub.fleet import Fleet
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        fleet = Fleet.of(workspace)
        _, code = fleet.replace(fleet.by_name(name).gate.id, actor=ACTOR)
    return _invited(name, code)


@hub.command("accept-key")
@click.argument("name")
@click.argument("key")
@click.option("--reason", callback=one_line, required=True, help="Why the gate has another key.")
@config_option
@reports
def accept_key(name: str, key: str, reason: str, config: Path | None) -> CommandResult:
    """Let a gate's journal go on under a key that nothing proves to follow the one before.

    Compare KEY, which the alarm and the gate's sync status show, with the one that the gate itself
    shows (`gated journal key`). A key that was rotated by `gated journal rotate-key` needs no word.

    \b
    Example: gated hub accept-key north-gate 5d1e... --reason "its card broke, new keys"
    """
    from gated.fleet.hub.collect import Collector
    from gated.workspace import Workspace

    if not re.fullmatch("[0-9a-f]{64}", key):
        raise click.BadParameter("a key has 64 digits from 0 to f", param_hint="KEY")
    with Workspace(settings_of(config), create=False) as workspace:
        Collector.of(workspace).accept_key(name, key, actor=ACTOR, reason=reason)
    view = {"name": name, "key": key}
    return CommandResult(view, f"{name}: rows under this key are taken from now on")


@hub.command("revoke")
@click.argument("name")
@config_option
@reports
def revoke(name: str, config: Path | None) -> CommandResult:
    """Void a gate's credentials at once, as of one that was stolen.

    \b
    Example: gated hub revoke north-gate
    """
    from gated.fleet.hub.fleet import Fleet
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        fleet = Fleet.of(workspace)
        fleet.revoke(fleet.by_name(name).gate.id, actor=ACTOR)
    lines = (
        f"{name} is no gate of this hub any more",
        "if it was stolen with its key: gated hub rotate-credential-keys",
    )
    return CommandResult({"name": name, "state": "revoked"}, "\n".join(lines))


@hub.command("rotate-credential-keys")
@json_option
@config_option
def rotate_credential_keys(as_json: bool, config: Path | None) -> None:
    """Put another key over all cards and badges, so that a stolen gate's keys find none of them.

    The gates are given it, and what it makes of each card. PINs keep the keys they were made with
    until they are set again. Cards and PINs of people whom the stolen gate carried are known to who
    has it: give those people others.

    \b
    Example: gated hub rotate-credential-keys
    """
    from gated.access.credential_keys import rotate
    from gated.workspace import Workspace

    with (
        Workspace(settings_of(config), create=False) as workspace,
        workspace.change(ACTOR) as change,
    ):
        rotated = rotate(change, workspace)
    if as_json:
        click.echo(json.dumps(asdict(rotated)))
        return
    click.echo(f"{rotated.cards} cards and badges have key {rotated.keys} as well")
    if rotated.pins:
        click.echo(f"{rotated.pins} PINs keep the keys before it until they are set again")


@hub.command("resync")
@config_option
@reports
def resync(config: Path | None) -> CommandResult:
    """Let every gate take everything anew, as after a restore of the hub's database.

    \b
    Example: gated hub resync
    """
    from gated.fleet.hub.feed import Feed
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        Feed.of(workspace).renew(actor=ACTOR)
    return CommandResult({"resync": True}, "every gate takes a snapshot when it asks next")


@hub.command("operator")
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="A group whose members they may edit.")
@click.option("--everyone", is_flag=True, help="They may edit everybody whom a gate carries.")
@click.option("--forbid", is_flag=True, help="They may edit at gates no more.")
@config_option
@reports
def operator(
    name: str, groups: tuple[str, ...], everyone: bool, forbid: bool, config: Path | None
) -> CommandResult:
    """Let the account NAME edit people at gates, from its next sign-in at the hub on.

    \b
    Example: gated hub operator olga --group staff
    Example: gated hub operator olga --forbid
    """
    from gated.fleet.hub.operators import Operators
    from gated.workspace import Workspace

    if (bool(groups) or everyone) == forbid:
        raise click.UsageError("give --group or --everyone, or else --forbid")
    with Workspace(settings_of(config), create=False) as workspace:
        operators = Operators.of(workspace)
        if forbid:
            operators.forbid(name, actor=ACTOR)
            view = {"name": name, "everyone": False, "groups": []}
            return CommandResult(view, f"{name} may edit at gates no more")
        found = operators.allow(name, groups, everyone=everyone, actor=ACTOR)
    known = "gates know them already" if found.public_key else "they have to sign in here once"
    view = {"name": name, "everyone": everyone, "groups": groups}
    whom = "everybody" if everyone else ", ".join(groups)
    return CommandResult(view, f"{name} may edit {whom}; {known}")


@hub.command("edits")
@click.option("--all", "decided", is_flag=True, help="Those that are decided, too.")
@json_option
@config_option
def edits(decided: bool, as_json: bool, config: Path | None) -> None:
    """List what operators changed at gates and somebody has to decide on, oldest first.

    \b
    Example: gated hub edits
    """
    with _review(config) as review:
        found = review.list_(limit=1000, state=None if decided else "pending")
    if as_json:
        click.echo(json.dumps([_edit_view(e) for e in found]))
        return
    if not found:
        click.echo("no edits wait")
    for view in map(_edit_view, found):
        note = "  conflict" if view["conflict"] else ""
        note += f"  after {view['waits']}" if view["waits"] else ""
        click.echo(
            f"{view['id']:6}  {view['made_at'][:16]}  {view['gate']:16} {view['operator']:16} "
            f"{view['kind']:10} {view['state']:8} {view['name'] or 'somebody new'}{note}"
        )


@hub.command("accept")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=int)
@click.option("--anyway", is_flag=True, help="Although the person was changed here since.")
@click.option("--override", help="Why the face may be another person's, too.")
@config_option
def accept(ids: tuple[int, ...], anyway: bool, override: str | None, config: Path | None) -> None:
    """Let edits of gates count for all, in this order.

    \b
    Example: gated hub accept 17 18
    """
    with _review(config) as review:
        for id_ in ids:
            review.accept(id_, actor=ACTOR, anyway=anyway, override=override)
            click.echo(f"edit {id_} accepted")


@hub.command("refuse")
@click.argument("id_", metavar="ID", type=int)
@click.option("--reason", callback=one_line, help="What the operator reads at the gate.")
@click.option("--erase", is_flag=True, help="Forget somebody who is new for ever.")
@config_option
@reports
def refuse(id_: int, reason: str | None, erase: bool, config: Path | None) -> CommandResult:
    """Let an edit of a gate not count; the gate undoes it.

    \b
    Example: gated hub refuse 17 --reason "has left"
    """
    with _review(config) as review:
        review.refuse(id_, actor=ACTOR, reason=reason, erase=erase)
    return CommandResult({"id": id_, "state": "refused"}, f"edit {id_} refused")


@contextmanager
def _review(config: Path | None) -> Iterator[Review]:
    from gated.enrollment.enrollment_queue import EnrollmentQueue
    from gated.fleet.hub.review import Review
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        yield Review.with_queue(workspace, EnrollmentQueue(workspace))


def _edit_view(found: ReviewedEdit) -> dict[str, Any]:
    edit, person = found.edit, found.person
    return {
        "id": edit.id,
        "kind": edit.kind,
        "gate": found.gate,
        "operator": found.operator,
        "name": None if person is None else person.name,
        "made_at": edit.made_at.isoformat(),
        "state": edit.state,
        "conflict": found.conflict,
        "waits": found.waits,
    }


def _invited(name: str, code: str) -> CommandResult:
    text = f"on {name}, within a day: gated join HUB_URL {code}"
    return CommandResult({"name": name, "code": code}, text)
