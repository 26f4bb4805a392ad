"""gated check-config, doctor, journal, db, bench."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gated.cli.common import config_option, json_option, one_line, progress_bar, settings_of


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@config_option
@json_option
def check_config(file: Path | None, config: Path | None, as_json: bool) -> None:
    """Check a configuration file and report every mistake with its line.

    \b
    Example: gated check-config /etc/gated/gate.yaml
    """
    from gated.config import effective, exposed, find_config, load
    from gated.config.drivers import BUILT_IN

    if file is not None and config is not None:
        raise click.UsageError("one file, with --config or without it")
    file = file or config
    settings = load(file)
    if any(d.options or d.name not in BUILT_IN[d.group] for d in settings.drivers):
        from gated.devices.drivers import check_options

        check_options(settings)
    for found in exposed(settings, find_config(file)):
        click.echo(f"warning: {found}: {found.advice}", err=True)
    tolerance = ""
    if settings.recognition.face_tolerance is not None:
        from gated.enrollment.models import tolerance_in_words

        tolerance = tolerance_in_words(settings)
    if as_json:
        click.echo(json.dumps(effective(settings), indent=2))
    else:
        click.echo(
            f"the configuration is fine: {settings.gate.role} {settings.gate.name}, camera "
            f"{settings.camera.driver}, door {settings.door.driver}, "
            f"liveness {settings.liveness.level}"
        )
        if tolerance:
            click.echo(f"face tolerance {tolerance}")


@click.command()
@json_option
@config_option
def doctor(as_json: bool, config: Path | None) -> int:
    """Look at everything the gate needs and say what is wrong and what to do about it.

    \b
    Example: gated doctor
    """
    from gated.config import find_config
    from gated.doctor import DoctorContext, examine

    settings = settings_of(config)
    findings = examine(settings, DoctorContext(settings, config=find_config(config)))
    if as_json:
        fields = ("name", "state", "message", "advice")
        click.echo(json.dumps([{k: getattr(f, k) for k in fields} for f in findings], indent=2))
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red", "skip": None}
        for finding in findings:
            mark = click.style(f"{finding.state:4}", fg=colours[finding.state])
            click.echo(f"{mark}  {finding.name:14} {finding.message}")
            if finding.advice and finding.state in {"warn", "fail"}:
                click.echo(f"      {'':14} -> {finding.advice}")
    return int(any(f.state == "fail" for f in findings))


@click.group()
def journal() -> None:
    """The hash-chained log of decisions and door events.

    \b
    Example: gated journal verify
    """


@journal.command()
@json_option
@click.option(
    "--closely",
    is_flag=True,
    help="Look at each row as at a strange one, and at every signature: ten times as long.",
)
@config_option
def verify(as_json: bool, closely: bool, config: Path | None) -> int:
    """Check the chain, the seals, the head file and the attendance log made from them.

    Exit code 1 when something was altered, added, removed, reordered or cut off; the first wrong
    row is named, until somebody has acknowledged it with `gated journal acknowledge`. Whoever holds
    the gate's key can forge a whole chain: only a copy elsewhere catches that. The signature of a
    seal stands for all rows before it, so that old ones are not checked again without --closely.
    A state directory that is mounted read-only is verified without a write.

    \b
    Example: gated journal verify --json
    """
    from gated.workspace import journal_to_verify

    with journal_to_verify(settings_of(config)) as journal_, progress_bar("rows") as bar:
        result = journal_.verify(bar.show, closely=closely)
    problem = result.first_problem
    if as_json:
        where = problem and {"chain": problem.chain, "seq": problem.seq, "what": problem.what}
        record = {"rows": result.rows, "first_problem": where, "notes": result.notes}
        click.echo(json.dumps({"ok": result.ok, **record}))
        return 0 if result.ok else 1
    for note in result.notes:
        click.echo(note, err=True)
    if problem is None:
        click.echo(f"the journal is whole: {result.rows} rows")
    else:
        click.echo(f"row {problem.seq} of chain {problem.chain}: {problem.what}", err=True)
    return 0 if result.ok else 1


@journal.command()
@click.option(
    "--reason", callback=one_line, required=True, help="What happened, as far as it was found out."
)
@config_option
def acknowledge(reason: str, config: Path | None) -> None:
    """Put on record that what `gated journal verify` names was looked into, and why it is so.

    It counts as a failure no more, as long as it stays as it is. Needed after a restore from a
    backup, before the gate is started, and after the journal's key was lost.

    \b
    Example: gated journal acknowledge --reason "backup of 3 May restored after a broken disk"
    """
    from gated.live.journal_review import JournalReview
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        found = JournalReview.of(workspace).acknowledge(actor="command line", reason=reason)
    for problem in found.problems:
        click.echo(f"acknowledged: {problem}")


@journal.command("key")
@config_option
def key(config: Path | None) -> None:
    """Show the public half of the key that seals the journal now.

    \b
    Example: gated journal key
    """
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        click.echo(workspace.journal.public_key)


@journal.command("rotate-key")
@click.option(
    "--reason",
    callback=one_line,
    required=True,
    help="Why: by a rule, or somebody may have the old one.",
)
@config_option
def rotate_key(reason: str, config: Path | None) -> None:
    """Let a new key seal the journal from now on. The gate must be stopped for that moment.

    The old key agrees to it in the journal and is destroyed; rows under it stay right. A hub that
    knows the old key takes the new one from the journal.

    \b
    Example: gated journal rotate-key --reason "the card was out of the house"
    """
    from gated.live.journal_review import JournalReview
    from gated.workspace import Workspace

    with Workspace(settings_of(config), create=False) as workspace:
        key = JournalReview.of(workspace).rotate_key(actor="command line", reason=reason)
    click.echo(f"the journal is sealed with a new key: {key}")


@click.group()
def db() -> None:
    """The database.

    \b
    Example: gated db upgrade
    """


@db.command()
@config_option
def upgrade(config: Path | None) -> None:
    """Bring the database to the schema of this program (`gated run` does so by itself).

    \b
    Example: gated db upgrade
    """
    from gated.workspace import Workspace

    with Workspace(settings_of(config)):
        click.echo("the database is up to date")


@click.command()
@json_option
@click.option("--markdown", is_flag=True, help="Print the tables of docs/speed.md.")
def bench(as_json: bool, markdown: bool) -> None:
    """Measure this machine, side by side with the face_recognition pipeline; nine minutes.

    \b
    Example: gated bench --json
    """
    from gated.bench import print_markdown, print_report, run_bench

    result = run_bench(lambda doing: click.echo(f"{doing} ...", err=True))
    if as_json:
        click.echo(json.dumps(result, indent=2))
    elif markdown:
        print_markdown(result)
    else:
        print_report(result)
