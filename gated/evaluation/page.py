"""A report as one HTML page that stands alone: tables and curves, no script, nothing to fetch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import NormalDist
from typing import Any

from gated.errors import SourceError

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 20, 50
COLOURS = ("#1450b4", "#d26e1e", "#3c963c", "#963c82", "#b4141e", "#508c96", "#6e5a28", "#464646")

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: bold }
th, td { border: 1px solid #ccc; padding: .2rem .6rem; text-align: left }
svg { max-width: 100%; height: auto } svg text { font-size: 12px; fill: #222 }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a plot. ticks: values with a line, the first and last bound it. place: to a line
    on which equal steps are equal distances."""

    label: str
    ticks: Sequence[float]
    place: Callable[[float], float] = float

    def along(self, value: float) -> float:
        """Return where a value lies, 0 to 1; beyond the ends it stays on them."""
        low, high = self.ticks[0], self.ticks[-1]
        bounded = min(high, max(low, value if math.isfinite(value) else high))
        return (self.place(bounded) - self.place(low)) / (self.place(high) - self.place(low))


_DEVIATE = NormalDist().inv_cdf
FMR_AXIS = Axis("false match rate", (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), _DEVIATE)
FNMR_AXIS = Axis("false non-match rate", (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 0.3), _DEVIATE)
SCORE_AXIS = Axis("live score asked for", tuple(n / 10 for n in range(11)))
SHARE_AXIS = Axis("share of the clips", tuple(n / 5 for n in range(6)))


def write_page(file: Path, title: str, parts: Sequence[str]) -> None:
    """Write a page of these parts. Raises: SourceError when it cannot be written."""
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{file}: cannot be written: {error.strerror}") from None


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; everything in it is text."""
    top = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def plot(title: str, x: Axis, y: Axis, curves: Mapping[str, Sequence[Point]]) -> str:
    """Return an SVG picture of lines through points."""
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join(_grid(x, y))
        + "".join(_lines(x, y, curves))
        + f"</svg><figcaption>{escape(title)}</figcaption></figure>"
    )


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for tick in x.ticks:
        at = _across(x.along(tick))
        yield f'<path d="M{at} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
        below = HEIGHT - BOTTOM + 16
        yield f'<text x="{at}" y="{below}" text-anchor="middle">{_label(tick)}</text>'
    for tick in y.ticks:
        at = _up(y.along(tick))
        yield f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{_label(tick)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x.label)}</text>'
    yield f'<text x="{LEFT + 6}" y="{TOP + 14}">{escape(y.label)}</text>'


def _lines(x: Axis, y: Axis, curves: Mapping[str, Sequence[Point]]) -> Iterator[str]:
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{_across(x.along(a))},{_up(y.along(b))}" for a, b in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield (
            f'<text x="{WIDTH - RIGHT - 8}" y="{TOP + 16 + 16 * i}" text-anchor="end" '
            f'style="fill:{colour}">{escape(name)}</text>'
        )


def _across(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _up(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _label(value: float) -> str:
    return f"{100 * value:g} %"


# --- the reports ------------------------------------------------------------------------------


def pad_parts(report: Mapping[str, Any]) -> list[str]:
    """Tables and curves of `evaluate_pad`'s report, attacks that were accepted first."""
    rows = [
        (f"APCER {species}", *_rate_cells(found["clips"]))
        for species, found in sorted(
            report["apcer"].items(), key=lambda item: -(item[1]["clips"]["rate"] or 0.0)
        )
    ]
    rows.append(("BPCER", *_rate_cells(report["bpcer"]["clips"])))
    parts = [
        f"<p>Level {escape(str(report['level']))}, {escape(str(report['model']))}. Intervals are "
        "Clopper-Pearson, 95 %.</p>",
        table("Clips", ("", "rate", "interval", "of", "asked for movements"), rows),
        plot("Errors by the mean score asked of a clip", SCORE_AXIS, SHARE_AXIS, _errors(report)),
    ]
    for name, found in report.get("conditions", {}).items():
        kinds = {f"APCER {k}": v for k, v in found["apcer"].items()} | {"BPCER": found["bpcer"]}
        parts.append(
            table(
                f"{name}: {found['described']}",
                ("", "rate", "interval", "of", "asked for movements"),
                [(kind, *_rate_cells(one["clips"])) for kind, one in kinds.items()],
            )
        )
    shown = [
        (p["path"], p["species"], p["outcome"] or "no usable face", p["score"]["mean"])
        for p in report["presentations"]
    ]
    return [*parts, table("Recordings", ("file", "species", "outcome", "mean score"), shown)]


def _errors(report: Mapping[str, Any]) -> dict[str, list[Point]]:
    """Share of clips on the wrong side of each score, by species."""
    means: dict[str, list[float]] = {}
    for one in report["presentations"]:
        if one["score"]["mean"] is not None:
            means.setdefault(one["species"], []).append(one["score"]["mean"])
    steps = [n / 50 for n in range(51)]
    return {
        ("BPCER" if species == "bona_fide" else f"APCER {species}"): [
            (step, sum((m < step) == (species == "bona_fide") for m in found) / len(found))
            for step in steps
        ]
        for species, found in means.items()
    }


def _rate_cells(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    if one["rate"] is None:
        return ("none", "", "0", "")
    low, high = one["interval"]
    share = f"{one['errors']} of {one['total']}"
    return f"{one['rate']:.1%}", f"{low:.1%} to {high:.1%}", share, str(one.get("asked", ""))


def faces_parts(report: Mapping[str, Any], det: Sequence[Point]) -> list[str]:
    """Tables and the DET curve of `evaluate_faces`' report."""
    rows: list[tuple[str, str, str]] = []
    if report["accuracy"] is not None:
        rows.append(("accuracy", f"{report['accuracy']:.2%}", _span(report["accuracy_interval"])))
    for rate, value in report["tmr_at_fmr"].items():
        shown = "too few comparisons" if value is None else f"{value:.2%}"
        rows.append((f"TMR at FMR {rate}", shown, _span(report["tmr_interval"][rate])))
    for title, found in (("cross-fitted", report), ("calibration in use", report.get("shipped"))):
        if found is not None and found["fpir_measured"] is not None:
            promised = f"FPIR, {title} (promised {report['fpir_promised']:.2%})"
            rows.append((promised, f"{found['fpir_measured']:.2%}", _span(found["fpir_interval"])))
            rows.append((f"FNIR, {title}", f"{found['fnir']:.2%}", _span(found["fnir_interval"])))
    parts = [
        f"<p>{report['photos']} photos of {report['people']} people, model "
        f"{escape(str(report['model']))}; {len(report['unusable'])} photos unusable.</p>",
        table("Error rates", ("", "measured", "95 % interval"), rows),
    ]
    if det:
        curve = {"template against probe": det}
        parts.append(plot("Detection error trade-off", FMR_AXIS, FNMR_AXIS, curve))
    return parts


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2%} to {interval[1]:.2%}"
