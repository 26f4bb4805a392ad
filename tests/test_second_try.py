"""The second try of tests in real time: with things of its own, and with the first one's reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

made, ended = [], []

@pytest.fixture(scope="session")
def lasting():
    return []

@pytest.fixture(scope="module")
def late():  # only the second try comes so far
    yield "late"
    ended.append("late")

@pytest.fixture(scope="module")
def shared(lasting):
    made.append(set())
    lasting.append(len(made))
    yield made[-1]
    ended.append(len(made))

@pytest.fixture
def second(shared):
    if len(made) == 1:
        shared.add("taken")
        raise ValueError("the machine was busy")

@pytest.mark.flaky(reruns=1)
def test_a_name_is_free(request, second, shared, lasting):
    request.getfixturevalue("late")
    assert ended == [1], "what the first try had is not ended before the second one begins"
    shared.add("taken")
    assert lasting == [1, 2]

def test_the_next_one_shares_what_the_second_try_had(shared):
    assert shared == {"taken"}
    assert len(made) == 2
"""
AFTER = """
from test_shared import ended

def test_all_is_ended_with_the_file():
    assert sorted(map(str, ended)) == ["1", "2", "late"]
"""


def test_a_second_try_meets_nothing_of_the_first_and_the_summary_says_why(tmp_path: Path) -> None:
    (tmp_path / "test_shared.py").write_text(TESTS)
    (tmp_path / "test_then.py").write_text(AFTER)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    root = Path(__file__).parents[1]
    options = ["--rerun-show-tracebacks", "--rootdir", str(tmp_path)]
    plugins = ["-p", "tests.second_try", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed, 1 rerun" in run.stdout
    summary = run.stdout.partition("rerun test summary info")[2]
    assert "ValueError: the machine was busy" in summary
