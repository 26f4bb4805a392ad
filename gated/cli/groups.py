"""gated groups: to whom the same rules apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import (
    changing,
    checked,
    given,
    group_of,
    open_state,
    person_of,
    show_rows,
)
from gated.cli.common import CommandResult, config_option, json_option, reports, show_json

if TYPE_CHECKING:
    from gated.database.records import Group, GroupRule, WeeklySchedule
    from gated.workspace import Workspace


_planned = click.option(
    "--planned-hours", type=float, metavar="H", help="A week, for payroll; 0: none are planned."
)
_late = click.option(
    "--late-after", metavar="HH:MM",
    help="Who comes later for the first time on a working day is late; '': nobody is.",
)  # fmt: skip


@click.group()
def groups() -> None:
    """Groups of people, and where and when their members pass.

    \b
    Example: gated groups list
    """


@groups.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List the groups.

    \b
    Example: gated groups list
    """
    from gated.people.groups import Groups
    from gated.people.people import People

    with open_state(config) as workspace:
        found = Groups.of(workspace).list_()
        members = {g.id: People.of(workspace).list_(group=g.name, limit=1)[1] for g in found}
        rules = {g.id: _in_words(workspace, g.id) for g in found}
    if as_json:
        show_json([{**asdict(g), "members": members[g.id]} for g in found])
        return
    rows = [
        (g.name, members[g.id], rules[g.id], g.planned_hours, g.late_after, g.description)
        for g in found
    ]
    head = ("group", "members", "passes", "hours", "late after", "description")
    show_rows(head, rows, "no groups yet; add one: gated groups add NAME")


@groups.command("show")
@click.argument("name")
@json_option
@config_option
def show(name: str, as_json: bool, config: Path | None) -> None:
    """Show a group with its members.

    \b
    Example: gated groups show Staff
    """
    from gated.access.rules import Access
    from gated.people.people import People

    with open_state(config) as workspace:
        group = group_of(workspace, name)
        people, _ = People.of(workspace).list_(group=group.name, sort="last_name")
        rules = Access.of(workspace).rules_of_group(group.id)
        passes = _in_words(workspace, group.id)
    if as_json:
        members = [{"personnel_code": p.personnel_code, "name": p.name} for p in people]
        show_json({**asdict(group), "rules": [asdict(r) for r in rules], "members": members})
        return
    click.echo(f"{group.name}: passes {passes}")
    rows = [(p.personnel_code, p.name, "on" if p.is_active else "off") for p in people]
    show_rows(("code", "name", "state"), rows, "nobody is in it")


@groups.command("add")
@click.argument("name")
@click.option("--description", help="What it is for.")
@_planned
@_late
@config_option
@reports
def add(name: str, config: Path | None, **fields: Any) -> CommandResult:
    """Add a group.

    \b
    Example: gated groups add Staff --planned-hours 38.5 --late-after 08:15
    """
    from gated.people.groups import Groups
    from gated.people.schemas import GroupIn

    body = checked(GroupIn, {"name": name, **given(**fields)})
    with changing(config) as (workspace, change):
        group = Groups.of(workspace).add(change, **body.model_dump())
    return CommandResult(asdict(group), f"group {group.name} added")


@groups.command("change")
@click.argument("name")
@click.option("--name", "new_name", help="Another name.")
@click.option("--description", help="What it is for.")
@_planned
@_late
@config_option
@reports
def change(name: str, config: Path | None, new_name: str | None, **fields: Any) -> CommandResult:
    """Change a group; what is not named stays.

    \b
    Example: gated groups change Staff --name Employees
    """
    from gated.people.groups import Groups
    from gated.people.schemas import GroupChange

    wanted = given(name=new_name, **fields)
    if wanted.get("planned_hours") == 0:
        wanted["planned_hours"] = None
    if wanted.get("late_after") == "":
        wanted["late_after"] = None
    body = checked(GroupChange, wanted).model_dump(exclude_unset=True)
    if not body:
        raise click.UsageError("name what changes, such as --name")
    with changing(config) as (workspace, change):
        group = Groups.of(workspace).update(change, group_of(workspace, name).id, body)
    return CommandResult(asdict(group), f"group {group.name} changed")


@groups.command("remove")
@click.argument("name")
@config_option
@reports
def remove(name: str, config: Path | None) -> CommandResult:
    """Remove a group; its members stay.

    \b
    Example: gated groups remove Trainees
    """
    from gated.people.groups import Groups

    with changing(config) as (workspace, change):
        group = group_of(workspace, name)
        Groups.of(workspace).delete(change, group.id)
    return CommandResult(asdict(group), f"group {group.name} removed")


@groups.command("join")
@click.argument("name")
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@config_option
@reports
def join(name: str, codes: tuple[str, ...], config: Path | None) -> CommandResult:
    """Make people members of a group, all of them or nobody.

    \b
    Example: gated groups join Staff E17 E18
    """
    from gated.people.groups import Groups

    with changing(config) as (workspace, change):
        group = group_of(workspace, name)
        for code in codes:
            Groups.of(workspace).join(change, group.id, person_of(workspace, code).id)
    return _members(group, codes, "in")


@groups.command("leave")
@click.argument("name")
@click.argument("codes", nargs=-1, required=True, metavar="CODE...")
@config_option
@reports
def leave(name: str, codes: tuple[str, ...], config: Path | None) -> CommandResult:
    """End memberships.

    \b
    Example: gated groups leave Staff E17
    """
    from gated.people.groups import Groups

    with changing(config) as (workspace, change):
        group = group_of(workspace, name)
        for code in codes:
            Groups.of(workspace).leave(change, group.id, person_of(workspace, code).id)
    return _members(group, codes, "not in")


@groups.command("passes")
@click.argument("name")
@click.option("--at", "places", multiple=True, metavar="GATE", help="At this gate; default: all.")
@click.option("--in", "schedule", metavar="SCHEDULE", help="Within this one; default: always.")
@click.option("--nothing", is_flag=True, help="The group says nothing of where its members pass.")
@config_option
@reports
def passes(
    name: str, places: tuple[str, ...], schedule: str | None, nothing: bool, config: Path | None
) -> CommandResult:
    """Set where and when the members of a group pass, in the place of what was set before.

    \b
    Example: gated groups passes Staff --in Weekdays
    Example: gated groups passes Guards --at "north gate" --at "south gate"
    """
    from gated.access.rules import Access, GroupRule

    if nothing and (places or schedule):
        raise click.UsageError("--nothing stands alone")
    with changing(config) as (workspace, change):
        group = group_of(workspace, name)
        hours = None if schedule is None else schedule_of(workspace, schedule).id
        rules = [] if nothing else [GroupRule(gate, hours) for gate in places or (None,)]
        Access.of(workspace).set_rules_of_group(change, group.id, rules)
    with open_state(config) as workspace:
        words = _in_words(workspace, group.id)
    record = {**asdict(group), "rules": [asdict(rule) for rule in rules]}
    return CommandResult(record, f"{group.name}: passes {words}")


def _members(group: Group, codes: Sequence[str], now: str) -> CommandResult:
    record = {**asdict(group), "personnel_codes": codes}
    return CommandResult(record, f"{', '.join(codes)}: {now} {group.name}")


def schedule_of(workspace: Workspace, name: str) -> WeeklySchedule:
    """Find a schedule by its name. Raises: NotFound."""
    from gated.access.rules import Access
    from gated.core.text import is_same
    from gated.errors import NotFound

    found = Access.of(workspace).schedules()
    for schedule in found:
        if is_same(schedule.name, name):
            return schedule
    known = ", ".join(s.name for s in found) or "none yet"
    raise NotFound(f"there is no schedule {name} (there are: {known})")


def _in_words(workspace: Workspace, group_id: int) -> str:
    from gated.access.rules import Access

    access = Access.of(workspace)
    names = {s.id: s.name for s in access.schedules()}

    def words(rule: GroupRule) -> str:
        hours = "always" if rule.schedule_id is None else f"in {names[rule.schedule_id]}"
        return hours if rule.gate is None else f"{hours} at {rule.gate or 'another gate'}"

    return "; ".join(map(words, access.rules_of_group(group_id))) or "nowhere by this group"
