"""Reports as pages: well-formed, escaped, and with the curves where they belong."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gated.core.pad import PAD_LEVELS, Liveness, PadScore
from gated.errors import SourceError
from gated.evaluation.liveness import BONA_FIDE, Presentation, Seen, rates
from gated.evaluation.page import (
    FMR_AXIS,
    FNMR_AXIS,
    HEIGHT,
    LEFT,
    SCORE_AXIS,
    SHARE_AXIS,
    WIDTH,
    pad_parts,
    plot,
    table,
    write_page,
)

NASTY = 'a<script>alert("1")</script>&.mp4'


def elements(page: str, name: str) -> list[ET.Element]:
    body = page.removeprefix("<!doctype html>\n").replace('<meta charset="utf-8">', "")
    return list(ET.fromstring(body).iter(name))  # noqa: S314 - made by ourselves


def test_a_page_stands_alone_and_shows_names_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_page(file, NASTY, [table(NASTY, ("file",), [(NASTY,)]), plot(NASTY, *AXES, {NASTY: []})])
    page = file.read_text(encoding="utf-8")
    assert not elements(page, "script")
    assert [cell.text for cell in elements(page, "td")] == [NASTY]
    assert "http" not in page.replace("<!doctype html>", "")
    with pytest.raises(SourceError, match="cannot be written"):
        write_page(tmp_path / "absent" / "page.html", "", [])


AXES = (SCORE_AXIS, SHARE_AXIS)


def test_points_lie_where_their_values_are() -> None:
    drawn = plot("", SCORE_AXIS, SHARE_AXIS, {"one": [(0.0, 0.0), (1.0, 1.0), (0.5, 2.0)]})
    (line,) = elements(f"<div>{drawn}</div>", "polyline")
    places = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    # beyond the end a point stays on it
    middle = (LEFT + WIDTH - 20) / 2
    assert places == [(LEFT, HEIGHT - 50), (WIDTH - 20, 20), (middle, 20)]
    steps = [FMR_AXIS.along(rate) for rate in (1e-6, 1e-4, 1e-2)]
    assert steps == sorted(steps)
    assert FNMR_AXIS.along(float("nan")) == 1.0


def test_failures_come_first_and_curves_count_clips() -> None:
    kinds = ("print", "mask", BONA_FIDE)
    shown = [Presentation(Path("x"), kind, kind) for kind in kinds]
    seen = [
        Seen([PadScore(0.1)], Liveness.ATTACK),
        Seen([PadScore(0.9)], Liveness.LIVE),
        Seen([PadScore(0.8)], Liveness.LIVE),
    ]
    report = {
        "level": "normal",
        "model": "m",
        **rates(shown, seen, PAD_LEVELS["normal"]),
        "presentations": [
            {
                "path": p.name,
                "species": p.species,
                "outcome": str(s.outcome),
                "score": {"mean": s.mean},
            }
            for p, s in zip(shown, seen, strict=True)
        ],
    }
    page = "<div>" + "".join(pad_parts(report)) + "</div>"
    firsts = [row.findtext("td") for row in elements(page, "tbody")[0]]
    assert firsts == ["APCER mask", "APCER print", "BPCER"]
    assert len(elements(page, "polyline")) == 3
