"""Addresses that hold a password: nothing of it is ever shown, however it is written."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gated.config import CameraSettings, effective, load
from gated.config.addresses import authority, problem_of, problem_of_database, shown
from gated.database.engine import Database
from gated.devices.identity import identity_of
from gated.errors import ConfigError, DeviceError, StorageError
from gated.fleet.gate.client import HubAddress, HubClient

CONFIG = """
camera: {{driver: {driver}, source: demo, url: '{camera}'}}
storage: {{database_url: '{database}'}}
sync: {{hub_url: '{hub}'}}
"""
GOOD = {
    "driver": "rtsp",
    "camera": "rtsp://admin:2468%23Tor@cam:8554/ch0",
    "database": "postgresql://gated:2468Tor@db/gated",
    "hub": "https://hub.lan/gates",
}

passwords = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, blacklist_characters="'"), min_size=1
)


def config(tmp_path: Path, **changes: str) -> Path:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG.format(**{**GOOD, **changes}), encoding="utf-8")
    return file


def test_addresses_that_are_well_written_are_taken(tmp_path: Path) -> None:
    settings = load(config(tmp_path), {})
    assert settings.camera.url == GOOD["camera"]
    assert shown(GOOD["camera"]) == "rtsp://cam:8554"
    assert "2468" not in str(effective(settings))


@pytest.mark.parametrize(
    ("key", "url", "wanted"),
    [
        ("camera", "rtsp://admin:2468#Tor@cam/ch0", '"#" as %23'),
        ("camera", "rtsp://admin:2468/Tor@cam/ch0", '"/" as %2F'),
        ("camera", "rtsp://admin:2468?Tor@cam/ch0", '"?" as %3F'),
        ("camera", "rtsp://admin:2468@Tor@cam/ch0", '"@" as %40'),
        ("camera", "rtsp://admin:2468%Tor@cam/ch0", '"%" as %25'),
        ("camera", "rtsp://admin:2468 Tor@cam/ch0", "%20"),
        ("hub", "https://admin:2468#Tor@hub", '"#" as %23'),
        ("database", "postgresql://gated:2468@Tor@db/gated", '"@" as %40'),
    ],
)
def test_what_has_to_be_percent_encoded_is_said_and_nothing_is_shown(
    tmp_path: Path, key: str, url: str, wanted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, **{key: url}), {})
    assert wanted in str(caught.value)
    assert "2468" not in str(caught.value)
    assert "Tor" not in str(caught.value)


@given(passwords)
def test_a_password_in_any_writing_is_never_shown_and_its_encoding_is_right(secret: str) -> None:
    marked = f"qX{secret}Xq"
    plain, encoded = f"rtsp://eve:{marked}@cam/1", f"rtsp://eve:{quote(marked, safe='')}@cam/1"
    assert "qx" not in shown(plain).lower()
    assert "xq" not in shown(plain).lower()
    assert shown(encoded) == "rtsp://cam"
    assert problem_of(encoded) is None
    assert marked not in (problem_of(plain) or "")
    if problem_of(plain) is None:
        assert shown(plain) in {"rtsp://cam", "the address"}
    assert problem_of_database(f"postgresql://eve:{quote(marked, safe='')}@db/x") is None


@given(passwords, st.sampled_from(["rtsp", "https", "postgresql"]))
def test_no_part_of_a_password_is_in_what_is_printed_of_the_settings(
    secret: str, scheme: str
) -> None:
    assume("*" not in secret)
    marked = f"qX{secret}Xq"
    settings = CameraSettings.model_construct(url=f"{scheme}://eve:{marked}@cam/1")
    printed = str(effective(settings))  # type: ignore[arg-type]
    assert "qX" not in printed
    assert "Xq" not in printed


def test_the_identity_of_a_camera_takes_nothing_from_a_password() -> None:
    broken = CameraSettings.model_construct(driver="rtsp", url="rtsp://admin:2468#Tor@cam/ch0")
    with pytest.raises(DeviceError) as caught:
        identity_of(broken)
    assert "2468" not in str(caught.value)
    assert "admin" not in str(caught.value)
    good = CameraSettings(driver="rtsp", url=GOOD["camera"])
    assert identity_of(good) == "rtsp cam"


@pytest.mark.parametrize("url", ["https://eve:2468#Tor@hub", "http://eve:2468Tor@hub.lan"])
def test_the_address_of_a_hub_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HubClient(HubAddress(url))
    assert "2468" not in str(caught.value)
    assert "Tor" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://eve:2468@Tor@127.0.0.1:1/x",
        "postgresql://eve:2468#Tor@127.0.0.1:1/x",
        "postgresql://eve@127.0.0.1:1/x?password=2468Tor",
    ],
)
def test_a_database_that_is_not_there_is_told_without_the_password(url: str) -> None:
    pytest.importorskip("psycopg", reason="psycopg (extra hub) is missing")
    with pytest.raises(StorageError) as caught:
        Database.open(url)
    assert "2468" not in str(caught.value)
    assert "Tor" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("rtsp://cam", None),
        ("RTSP://Cam.LAN:554/x", 554),
        ("rtsps://[fe80::1]:322/s?a=b", 322),
        ("rtsp://u:@cam_1.lan/", None),
        ("rtsp://192.168.1.9/user=admin&channel=1", None),
    ],
)
def test_usual_addresses_are_well_formed(url: str, port: int | None) -> None:
    found = authority(url)
    assert found is not None
    assert found.port == port
    assert problem_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "rtsp://", "rtsp:///x", "cam", "rtsp://cam:99999", "rtsp://c m"),
        *("rtsps://cam..lan/x", f"rtsps://{'c' * 64}.lan/x"),
    ],
)
def test_what_is_none_is_none(url: str) -> None:
    assert authority(url) is None
    assert problem_of(url) is not None
