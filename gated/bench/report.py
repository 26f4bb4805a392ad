"""Prints the figures as tables, on the screen or as Markdown, with the project's targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from gated.bench.colleagues import REFERENCES

Result = Mapping[str, Any]
Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its target."""

    name: str
    figure: float
    wanted: str
    met: bool


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One table of the report; the first columns of `rows` are words."""

    title: str
    columns: tuple[str, ...]
    rows: Rows


def targets_of(result: Result) -> list[dict[str, Any]]:
    """Return each target of the project with its figure."""
    return [asdict(target) for target in _targets(result)]


def _targets(r: Result) -> Iterator[Target]:
    one, two = r["ratio_one_thread"], r["ratio_two_threads"]
    single = r["stages"]["1"]["ratio"]
    many = r["identification"][-1]
    third = r["relay"]["third_usable_ms"].get("p95", float("inf"))
    answer = r["load"]["answer_ms"]["p99"]
    growth = r["load"]["decision_growth"] or float("inf")
    memory, start = r["start"]["resident_mb"], r["start"]["first_frame_ms"]
    lag, still = r["relay"]["loop_lag_max_ms"], 100 * r["still_cpu"]
    yield Target("one embedded frame, 1 thread: times faster", single, "≥ 6", single >= 6)
    yield Target("mean frame of walk-ups, 1 thread: times faster", one, "≥ 20", one >= 20)
    yield Target("mean frame of walk-ups, 2 threads: times faster", two, "≥ 30", two >= 30)
    passes = many["passes"]
    yield Target("100,000 templates: passes over memory", passes, "≤ 1.5", passes <= 1.5)
    log = r["log"]["ratio"]
    yield Target("journal verify: times a bare reading with SHA-256", log, "≤ 4", log <= 4)
    yield Target("third usable frame to relay, p95: ms", third, "≤ 350", third <= 350)
    yield Target("100 lists a second, p99: ms", answer, "< 50", answer < 50)
    yield Target("decision under that load: times as long", growth, "≤ 1.2", growth <= 1.2)
    for row in r["strangers"]:
        worse, kept = row["growth"] or float("inf"), row["resident_mb"]
        yield Target(f"decision under {row['kind']}: times as long", worse, "≤ 1.2", worse <= 1.2)
        yield Target(f"memory under {row['kind']}: MiB", kept, "< 400", kept < 400)
    for row in r["colleagues"]:
        if row["kind"] in REFERENCES:
            continue
        worse, words = row["growth"] or float("inf"), row["words"]
        yield Target(f"decision during {words}: times as long", worse, "≤ 1.2", worse <= 1.2)
    crowd = r["crowd"]
    for name in ("presence", "explain"):
        took = crowd[f"{name}_ms"]
        label = f"{name} of {crowd['people']:,} people, processor: ms"
        yield Target(label, took, "≤ 50", took <= 50)
    yield Target("event loop blocked while the gate works: ms", lag, "≤ 20", lag <= 20)
    yield Target("start to the first frame: ms", start, "< 2500", start < 2500)
    yield Target("memory with API and 10,000 templates: MiB", memory, "< 350", memory < 350)
    yield Target("one core while nothing moves: %", still, "< 5", still < 5)


def parts_of(result: Result) -> list[ReportTable]:
    """Return the tables of the report."""
    return [
        _target_part(result),
        _stage_part(result["stages"]),
        _walkup_part(result),
        _identification_part(result["identification"]),
        _daemon_part(result),
        _stranger_part(result),
        _colleague_part(result),
        _crowd_part(result["crowd"]),
        _less_part(result),
        _lane_part(result),
    ]


def print_report(result: Result, console: Console | None = None) -> None:
    """Print the tables on the screen."""
    console = console or Console()
    console.print(_origin(result))
    for part in parts_of(result):
        table = Table(title=part.title, title_justify="left")
        for index, name in enumerate(part.columns):
            table.add_column(name, justify="right" if index else "left")
        for row in part.rows:
            table.add_row(*row)
        console.print(table)


def print_markdown(result: Result) -> None:
    """Print the tables as Markdown."""
    print(_origin(result))
    for part in parts_of(result):
        rules = ["---", *["---:"] * (len(part.columns) - 1)]
        print(f"\n**{part.title}**\n")
        for row in (part.columns, rules, *part.rows):
            print(f"| {' | '.join(row)} |")


def _origin(r: Result) -> str:
    machine = r["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['architecture']}, "
        f"Python {machine['python']}, OpenCV {machine['opencv']}."
    )


def _target_part(r: Result) -> ReportTable:
    rows: Rows = [
        (t["name"], _rounded(t["figure"]), t["wanted"], "yes" if t["met"] else "NO")
        for t in r["targets"]
    ]
    return ReportTable("what is wanted", ("figure", "measured", "wanted", "met"), rows)


def _stage_part(stages: Result) -> ReportTable:
    names = ("detect", "align", "embed", "total", "liveness")
    rows: Rows = []
    for threads, row in stages.items():
        for pipeline in ("face_recognition", "gated"):
            times = [f"{row[pipeline][n]:.1f}" if n in row[pipeline] else "" for n in names]
            ratio = f"{row['ratio']:.1f} x" if pipeline == "gated" else ""
            rows.append((pipeline, threads, *times, ratio))
    title = "one known face at 640x480, medians in ms; the ratio is that of the totals"
    return ReportTable(title, ("pipeline", "threads", *names, "ratio"), rows)


def _walkup_part(r: Result) -> ReportTable:
    walkups, included = r["walkups"], "included" if r["liveness"] else "left out: no models"
    theirs = walkups["face_recognition"]
    first = theirs["first_match_s"]
    verdict = (
        f"matches the enrolled {theirs['matches_of_the_enrolled']} times"
        + (f", first at {first:.2f} s" if first is not None else "")
        + f"; the stranger {theirs['matches_of_the_stranger']} times"
    )
    rows: Rows = [("face_recognition", "", f"{theirs['ms']:.1f}", "", "", "", verdict)]
    for threads in ("1", "2"):
        ours = walkups[threads]
        decided = ", ".join(f"{d['decision']} at {d['t']:.2f} s" for d in ours["decisions"])
        counts = (str(ours["detections"]), str(ours["embeddings"]))
        rows.append(
            ("gated", threads, f"{ours['ms']:.1f}", f"{ours['ratio']:.1f} x", *counts, decided)
        )
    title = (
        f"two replayed walk-ups (one enrolled, one stranger), {walkups['frames']} frames with the "
        f"empty scene between, liveness {included}: ms of the mean frame"
    )
    columns = ("pipeline", "threads", "ms", "ratio", "detections", "embeddings", "decisions")
    return ReportTable(title, columns, rows)


def _identification_part(found: Sequence[Result]) -> ReportTable:
    rows: Rows = [
        (
            f"{row['templates']:,}",
            f"{row['gated_ms']:.3f}",
            f"{row['face_distance_ms']:.2f}",
            f"{row['ratio']:.0f} x",
            f"{row['one_pass_ms']:.3f}",
            f"{row['passes']:.2f}" if row["templates"] >= 100_000 else "(in cache)",
        )
        for row in found
    ]
    columns = ("templates", "gated", "face_distance", "ratio", "one pass over memory", "passes")
    return ReportTable("one face against all templates, best of several in ms", columns, rows)


def _daemon_part(r: Result) -> ReportTable:
    relay, load = r["relay"], r["load"]
    first, third = (_spread(relay[k]) for k in ("first_usable_ms", "third_usable_ms"))
    answers = load["answer_ms"]
    rows: Rows = [
        ("start to first frame", f"{r['start']['first_frame_ms']:.0f} ms"),
        ("memory with API and 10,000 templates", f"{r['start']['resident_mb']:.0f} MiB"),
        ("of that the door process", f"{r['start']['door_mb']:.0f} MiB"),
        ("frames a second, at most", f"{r['frames_per_second']:.0f}"),
        (f"journal verify, {r['log']['rows']} rows", f"{r['log']['rows_a_second']:.0f} rows/s"),
        ("CPU while nothing moves, 15 frames a second", f"{100 * r['still_cpu']:.1f} % of a core"),
        (f"first usable frame to relay, {relay['grants']} grants", first),
        (f"third usable frame to relay, {relay['grants']} grants", third),
        ("event loop blocked at most", f"{relay['loop_lag_max_ms']} ms"),
        (
            f"{load['requests']} lists, 100 a second",
            f"p50 {answers['p50']:.1f}, p99 {answers['p99']:.1f}, max {answers['max']:.1f} ms",
        ),
        ("what asking itself costs", f"{load['asking_cpu_ms']:.2f} ms of CPU a list"),
        (
            f"frame to decision alone, {load['decisions'][0]} decisions",
            _spread(load["decision_alone_ms"]),
        ),
        (
            f"frame to decision under load, {load['decisions'][1]} decisions",
            _spread(load["decision_loaded_ms"]),
        ),
        (
            f"growth of all {sum(load['frames'])} frames with evidence",
            f"{load['frame_growth'] or 0:.2f} x",
        ),
    ]
    return ReportTable(
        "the whole daemon, brisk walk-ups at 15 frames a second", ("what", "figure"), rows
    )


def _stranger_part(r: Result) -> ReportTable:
    rows: Rows = [
        (
            row["kind"],
            " / ".join(map(str, row["decisions"])),
            _spread(row["alone_ms"]),
            _spread(row["attacked_ms"]),
            f"{row['growth'] or 0:.2f} x",
            f"{row['resident_mb']:.0f} MiB",
        )
        for row in r["strangers"]
    ]
    columns = ("strangers send", "decisions", "alone", "meanwhile", "growth", "memory")
    return ReportTable("frame to decision while strangers send", columns, rows)


def _colleague_part(r: Result) -> ReportTable:
    rows: Rows = [
        (
            row["words"],
            " / ".join(map(str, row["decisions"])),
            _spread(row["alone_ms"]),
            _spread(row["busy_ms"]),
            f"{row['growth'] or 0:.2f} x",
            _spread(row["relay_alone_ms"]),
            _spread(row["relay_busy_ms"]),
        )
        for row in r["colleagues"]
    ]
    columns = (
        "work", "decisions", "decided, alone", "meanwhile", "growth", "to relay, alone", "meanwhile"
    )  # fmt: skip
    title = "frame to decision, and third usable frame to relay, while others work"
    return ReportTable(title, columns, rows)


def _crowd_part(crowd: Result) -> ReportTable:
    rows: Rows = [
        ("who is inside, when one more has passed", f"{crowd['presence_ms']:.0f} ms"),
        ("who is inside, asked for the first time", f"{crowd['anew_ms']:.0f} ms"),
        ("why somebody may pass, with a limit of people", f"{crowd['explain_ms']:.0f} ms"),
        ("rows of the log read", f"{crowd['log_rows']:,.0f} a second"),
        ("of these written as CSV", f"{crowd['csv_rows']:,.0f} a second"),
        ("of these written as XLSX", f"{crowd['xlsx_rows']:,.0f} a second"),
    ]
    title = f"{crowd['people']:,} people, {crowd['inside']:,} inside: processor time"
    return ReportTable(title, ("what", "figure"), rows)


def _less_part(r: Result) -> ReportTable:
    rows: Rows = [
        (
            f"{row['fraction']:.0%} of one core ({row['how']})",
            str(row["grants"]),
            _spread(row["third_usable_ms"]),
        )
        for row in r["less_machine"]
    ]
    title = "a smaller machine: the same walk-ups, one thread, held back"
    return ReportTable(title, ("machine", "grants", "third usable frame to relay"), rows)


def _lane_part(r: Result) -> ReportTable:
    rows: Rows = [
        (
            f"{row['per_minute']} a minute",
            f"{row['fraction']:.0%} of one core ({row['how']})",
            str(row["let_in"]),
            str(row["missed"]),
            str(row["twice"]),
        )
        for row in r["lanes"]
    ]
    title = "a lane at shift change, half a minute"
    return ReportTable(title, ("pace", "machine", "let in", "passed over", "let in twice"), rows)


def _rounded(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"


def _spread(found: Mapping[str, float]) -> str:
    if not found:
        return "none"
    return f"p50 {found['p50']:.0f}, p95 {found['p95']:.0f}, max {found['max']:.0f} ms"
