"""Who is inside, and why somebody would pass, where thousands of people are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.bench.crowd import measure_crowd


@pytest.mark.long
def test_one_of_thousands_is_explained_without_reading_them_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measure_crowd(tmp_path, 6000)
    with capsys.disabled():
        print(f"\n{found}")
    assert found["inside"] == 4000
    assert found["presence_ms"] < found["anew_ms"] / 2
    assert found["explain_ms"] < found["anew_ms"] / 3
