"""Each target stands beside its figure."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import pytest
from rich.console import Console

from gated.bench.report import print_markdown, print_report, targets_of

STAGES = {"detect": 1.0, "align": 1.0, "embed": 2.0, "total": 4.0}
SPREAD = {"p50": 10.0, "p95": 20.0, "p99": 30.0, "max": 40.0}
OURS = {"ms": 5.0, "ratio": 22.0, "detections": 9, "embeddings": 3, "decisions": []}
GOOD: dict[str, Any] = {
    "liveness": True,
    "machine": {
        "processor": "one of the tests",
        "cores": 2,
        "architecture": "none",
        "python": "3",
        "opencv": "5",
    },
    "ratio_one_thread": 22.0,
    "ratio_two_threads": 33.0,
    "stages": {"1": {"gated": {**STAGES, "liveness": 1.0}, "face_recognition": STAGES, "ratio": 7}},
    "walkups": {
        "frames": 100,
        "1": OURS,
        "2": OURS,
        "face_recognition": {
            "ms": 110.0,
            "first_match_s": None,
            "matches_of_the_enrolled": 0,
            "matches_of_the_stranger": 0,
        },
    },
    "identification": [
        {
            "templates": 100_000,
            "gated_ms": 2.0,
            "face_distance_ms": 80.0,
            "ratio": 40.0,
            "one_pass_ms": 1.6,
            "passes": 1.25,
        }
    ],
    "log": {"rows": 50_000, "rows_a_second": 41_000.0, "ratio": 2.5},
    "start": {"first_frame_ms": 1900, "resident_mb": 280.0, "door_mb": 170.0},
    "relay": {
        "grants": 4,
        "first_usable_ms": SPREAD,
        "third_usable_ms": SPREAD,
        "loop_lag_max_ms": 4,
    },
    "load": {
        "requests": 100,
        "answer_ms": SPREAD,
        "asking_cpu_ms": 0.3,
        "decisions": [4, 4],
        "decision_alone_ms": SPREAD,
        "decision_loaded_ms": SPREAD,
        "decision_growth": 1.1,
        "frames": [9, 9],
        "frame_growth": 1.1,
    },
    "strangers": [
        {
            "kind": "large bodies",
            "decisions": [4, 4],
            "alone_ms": SPREAD,
            "attacked_ms": SPREAD,
            "growth": 1.1,
            "resident_mb": 280.0,
        }
    ],
    "colleagues": [
        {
            "kind": "export",
            "words": "an export",
            "decisions": [4, 4],
            "alone_ms": SPREAD,
            "busy_ms": SPREAD,
            "growth": 1.1,
            "grants": [2, 2],
            "relay_alone_ms": SPREAD,
            "relay_busy_ms": SPREAD,
        }
    ],
    "crowd": {
        "people": 10_000,
        "inside": 6_000,
        "anew_ms": 300.0,
        "presence_ms": 45.0,
        "explain_ms": 40.0,
        "csv_rows": 90_000.0,
        "xlsx_rows": 80_000.0,
        "log_rows": 50_000.0,
    },
    "frames_per_second": 60.0,
    "still_cpu": 0.04,
    "less_machine": [
        {
            "fraction": 0.25,
            "how": "signals",
            "grants": 0,
            "first_usable_ms": {},
            "third_usable_ms": {},
        }
    ],
    "lanes": [
        {
            "per_minute": 60,
            "fraction": 0.11,
            "how": "signals",
            "let_in": 29,
            "missed": 1,
            "twice": 0,
        }
    ],
}


def test_all_targets_are_met_by_good_figures() -> None:
    assert [t["name"] for t in targets_of(GOOD) if not t["met"]] == []
    assert len(targets_of(GOOD)) == 17


def test_what_the_machine_does_by_itself_has_no_target_and_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = deepcopy(GOOD)
    row = {**result["colleagues"][0], "kind": "beside", "words": "another program", "growth": 9.0}
    result["colleagues"].append(row)
    assert all(target["met"] for target in targets_of(result))
    print_markdown({**result, "targets": targets_of(result)})
    assert "another program" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        (("stages", "1", "ratio"), 5.9),
        (("ratio_one_thread",), 19.9),
        (("ratio_two_threads",), 29.9),
        (("identification", 0, "passes"), 1.6),
        (("relay", "third_usable_ms"), {**SPREAD, "p95": 351.0}),
        (("relay", "third_usable_ms"), {}),
        (("load", "answer_ms"), {**SPREAD, "p99": 50.0}),
        (("load", "decision_growth"), 1.21),
        (("load", "decision_growth"), None),
        (("relay", "loop_lag_max_ms"), 21),
        (("strangers", 0, "growth"), 1.21),
        (("strangers", 0, "growth"), None),
        (("strangers", 0, "resident_mb"), 400.0),
        (("colleagues", 0, "growth"), 1.21),
        (("colleagues", 0, "growth"), None),
        (("crowd", "presence_ms"), 51.0),
        (("crowd", "explain_ms"), 51.0),
        (("start", "first_frame_ms"), 2500),
        (("start", "resident_mb"), 350.0),
        (("still_cpu",), 0.05),
    ],
)
def test_a_bad_figure_misses_its_target_alone(path: tuple[Any, ...], bad: Any) -> None:
    result = deepcopy(GOOD)
    place: Any = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = bad
    assert len([t for t in targets_of(result) if not t["met"]]) == 1


def test_screen_and_markdown_show_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = {**GOOD, "targets": targets_of(GOOD)}
    screen = io.StringIO()
    print_report(result, Console(file=screen, width=200))
    print_markdown(result)
    markdown = capsys.readouterr().out
    for text in (screen.getvalue(), markdown):
        assert "one of the tests" in text
        assert "22.0 x" in text
        assert "p50 10, p95 20, max 40 ms" in text
        assert "25% of one core (signals)" in text
    lines = markdown.splitlines()
    assert "| figure | measured | wanted | met |" in lines
    assert "| --- | ---: | ---: | ---: |" in lines
