"""Names of time zones, and what is said of those that are none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gated.config.zones import advice, find_zone, zone_of


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "Etc/GMT+5"])
def test_zones_by_name(name: str) -> None:
    assert str(zone_of(name)) == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Berlin", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berlin ", "did you mean Europe/Berlin?"),
        ("New York", "did you mean America/New_York?"),
        ("Ammerica/New_York", "did you mean America/New_York?"),
        ("CEST", "did you mean Europe/Berlin?"),
        ("PST", "did you mean America/Los_Angeles?"),
        ("+02:00", "an offset does not know when clocks change"),
        ("UTC+2", "an offset does not know when clocks change"),
        ("Mars/Olympus", "such as Europe/Berlin"),
        ("", "such as Europe/Berlin"),
        ("x" * 10_000, "such as Europe/Berlin"),
    ],
)
def test_a_wrong_name_is_answered_with_what_to_write(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone") as refused:
        zone_of(name)
    assert meant in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "/usr/share/zoneinfo/UTC", "Europe", "tzdata.zi", "localtime"),
        *("right/Europe/Berlin", "posix/UTC", "Europe/../UTC", "UTC\0", "Europe//Berlin"),
    ],
)
def test_no_name_reads_anything_but_a_zone(name: str) -> None:
    assert find_zone(name) is None


def test_a_system_without_zone_data_has_those_of_the_package() -> None:
    pytest.importorskip("tzdata", reason="the package tzdata is not installed")
    told = _without_system_data(
        "from gated.config.zones import zone_of; print(zone_of('Asia/Tokyo'))"
    )
    assert told == "Asia/Tokyo"


def test_without_any_data_there_is_utc_and_a_word_about_the_lack() -> None:
    hidden = "import sys; sys.modules['tzdata'] = None; "
    told = _without_system_data(
        f"{hidden}from gated.config.zones import advice, zone_of; "
        "print(zone_of('UTC'), advice('Europe/Berlin'))"
    )
    assert told.startswith("UTC ")
    assert "apt install tzdata" in told


def _without_system_data(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONTZPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_advice_names_what_was_written() -> None:
    assert advice("Mars/Olympus").startswith("'Mars/Olympus'")
