"""The configuration: what is read, and that every mistake is reported at once with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gated.config import (
    ENVIRONMENT,
    CameraSettings,
    Section,
    Settings,
    check_tolerance,
    effective,
    find_config,
    load,
    parse,
    read_dotenv,
)
from gated.core.calibration import Calibration
from gated.errors import ConfigError

ROOT = Path(__file__).parent.parent
EXAMPLES = [ROOT / "gate.yaml", *sorted((ROOT / "config").glob("*.yaml"))]
REFERENCE = ROOT / "config" / "gate.reference.yaml"


def written(folder: Path, text: str) -> Path:
    file = folder / "gate.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The mistakes found, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ or {})
    return [p.removeprefix(f"{folder}/") for p in caught.value.problems]


def loaded(file: Path) -> tuple[Settings | None, tuple[str, ...]]:
    """The settings, or why there are none."""
    try:
        return load(file, {}), ()
    except ConfigError as error:
        return None, error.problems


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.name)
def test_every_shipped_file_is_valid(file: Path) -> None:
    settings = load(file, {})
    assert settings.door.driver == "simulated" or settings.liveness.level != "off"


def test_the_demo_says_that_liveness_is_off() -> None:
    demo = load(ROOT / "gate.yaml", {})
    assert (demo.gate.demo, demo.camera.driver, demo.camera.source) == (True, "replay", "demo")
    assert (demo.door.driver, demo.liveness.level) == ("simulated", "off")
    assert demo.storage.state_dir == ROOT
    assert "level: off" in (ROOT / "gate.yaml").read_text()


def test_the_reference_shows_every_key_with_its_default() -> None:
    shown = parse(REFERENCE.read_text(), "reference").values
    assert shown == Settings().model_dump(mode="json")


def test_the_reference_explains_every_key() -> None:
    lines = [line for line in REFERENCE.read_text().splitlines() if re.match(r" +\w+:", line)]
    assert [line for line in lines if "#" not in line] == []


def test_the_example_of_the_environment_names_every_variable() -> None:
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#(\w+)=", text, re.M)) == set(ENVIRONMENT)
    values, mistakes = read_dotenv(text, ".env.example")
    assert (values, mistakes) == ({}, [])


def test_five_mistakes_report_five(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
gate:
  timezone: Mars/Olympus
camera:
  driver: rtsp
  fsp: 15
door:
  driver: gpiozero
  relay_pin: seventeen
api:
  host: 0.0.0.0
""",
    )
    assert [p[: p.index(": ", p.index(": ") + 1)] for p in found] == [
        "gate.yaml:2: gate.timezone",
        "gate.yaml:4: camera.driver",
        "gate.yaml:5: camera.fsp",
        "gate.yaml:8: door.relay_pin",
        "gate.yaml:10: api.host",
    ]
    assert "did you mean fps?" in found[2]
    assert "valid integer" in found[3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dor: {}", "gate.yaml:1: dor: unknown key; did you mean door?"),
        ("gate:\n  frames: 3", "gate.yaml:2: gate.frames: unknown key here; did you mean reco"),
        ("gate:\n  qqq: 3", "gate.yaml:2: gate.qqq: unknown key; known here: name, role"),
        (
            "camera:\n  driver: v4l2\n  zone:\n    lefft: 0",
            "gate.yaml:4: camera.zone.lefft: unknown key; did you",
        ),
        ("api:\n  port: 70000", "gate.yaml:2: api.port: should be less than or equal to 65535"),
        ("api:\n  port: true", "gate.yaml:2: api.port: should be a valid integer"),
        ("api:\n  port: '80'", "gate.yaml:2: api.port: should be a valid integer"),
        ("api:\n  docs: yes", "gate.yaml:2: api.docs: should be a valid true or false"),
        ("api:\n  trusted_proxies:\n  - a\n  - 2", "gate.yaml:4: api.trusted_proxies.1: should"),
        ("api: 5", "gate.yaml:1: api: must be a section"),
        ("api: {port: 1}\nui: {}\napi: {}", "gate.yaml:3: api: is there twice (first on line 1)"),
        ("gate:\n  name: ''", "gate.yaml:2: gate.name: "),
        ("- a\n- b", "gate.yaml: must hold sections"),
        ("gate: {name: &n x, site: *n}", "gate.yaml:1: gate.site: aliases"),
        ("gate: {name: !!python/name:os.system x}", "gate.yaml:1: gate.name: 'x' is not a value"),
        (
            "camera: {driver: v4l2, zone: {left: 0.5, right: 0.4}}",
            "gate.yaml:1: camera.zone.left: the zone is",
        ),
        ("liveness: of", "gate.yaml:1: liveness.level: should be 'off', 'normal'"),
    ],
)
def test_one_mistake_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gate: [", "gate.yaml:1:"),
        ("gate:\n\tname: x", "gate.yaml:2:1: not valid YAML"),
        ("gate: \x00", "gate.yaml: not valid YAML"),
        ("[" * 5000, "gate.yaml: not valid YAML: nested too deeply"),
        ("--- {}\n--- {}", "gate.yaml:2:1: not valid YAML"),
    ],
)
def test_broken_yaml_is_one_line_with_its_position(
    tmp_path: Path, text: str, expected: str
) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)
    assert "\n" not in found[0]


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"gate: {name: caf\xe9}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.yaml", {})


REAL_DOOR = {"driver": "gpiozero", "relay_pin": 17}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"door": REAL_DOOR}, "camera.driver|door.driver"),
        ({"gate": {"demo": True}, "camera": {"driver": "v4l2"}}, "gate.demo"),
        ({"gate": {"role": "hub"}}, "gate.role"),
        ({"camera": {"driver": "none"}}, "camera.driver"),
        ({"camera": {"driver": "replay"}}, "camera.driver"),
        ({"camera": {"driver": "v4l2"}, "door": {"driver": "gpiozero"}}, "door.driver"),
        ({"camera": {"driver": "v4l2"}, "door": {**REAL_DOOR, "rex_pin": 17}}, "door.rex_pin"),
        ({"camera": {"driver": "v4l2"}, "door": {**REAL_DOOR, "relay_pin": 5}}, "door.relay_pin"),
        (
            {"camera": {"driver": "v4l2"}, "door": {**REAL_DOOR, "mounting": "outside"}},
            "door.mounting",
        ),
        ({"api": {"tls_key": "k.pem"}}, "api.tls_key"),
        ({"auth": {"secret_key": "changeme" * 5}}, "auth.secret_key"),
        ({"storage": {"database_url": "mysql://root@localhost/x"}}, "storage.database_url"),
        (
            {"storage": {"keep_acknowledged_days": 9}, "privacy": {"hold_days": 10}},
            "storage.keep_acknowledged_days",
        ),
        ({"sync": {"snapshots": True}}, "sync.snapshots"),
    ],
)
def test_impossible_combinations_are_refused(
    tmp_path: Path, values: dict[str, Any], expected: str
) -> None:
    found = problems(tmp_path, yaml.safe_dump(values))
    assert len(found) == 1
    assert re.match(rf"gate.yaml:\d+: ({expected}): ", found[0]), found


@pytest.mark.parametrize(
    "door",
    [
        {**REAL_DOOR, "mounting": "outside", "accept_outside_relay": True},
        {**REAL_DOOR, "relay_pin": 5, "accept_boot_glitch": True},
        {**REAL_DOOR, "relay_pin": 5, "relay_active_high": False},
    ],
)
def test_what_is_accepted_in_words_passes(tmp_path: Path, door: dict[str, Any]) -> None:
    text = yaml.safe_dump({"camera": {"driver": "v4l2"}, "door": door})
    assert load(written(tmp_path, text), {}).door.model_dump(include=set(door)) == door


def test_a_value_that_is_wrong_anyway_brings_no_second_complaint(tmp_path: Path) -> None:
    found = problems(tmp_path, "door: {driver: gpiozero, rely_pin: 17}\ncamera: {driver: usb}")
    assert [p.split(": ")[1] for p in found] == ["door.rely_pin", "camera.driver"]


def test_words_and_numbers_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = "liveness: off\ngate: {name: no, site: '12'}\nrecognition: {fpir: 1e-3}"
    settings = load(written(tmp_path, text), {})
    assert (settings.liveness.level, settings.gate.name) == ("off", "no")
    assert (settings.gate.site, settings.recognition.fpir) == ("12", 0.001)


def test_files_of_a_windows_editor_are_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfUPLOAD_DIR=photos\r\n")
    file = tmp_path / "gate.yaml"
    file.write_bytes(b"\xef\xbb\xbfgate:\r\n  name: west\r\n")
    settings = load(file, {})
    assert (settings.gate.name, settings.storage.uploads) == ("west", tmp_path / "photos")


def test_an_empty_section_means_its_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "ui:\ncamera:\n"), {}).ui == Settings().ui


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    text = (
        "storage: {state_dir: ../state, database_url: 'sqlite:///x.db'}\n"
        "camera: {driver: replay, source: clips}\nvision: {assets_dir: /models}"
    )
    file = written(tmp_path / "conf", text)
    monkeypatch.chdir(tmp_path)
    settings = load(Path("conf/gate.yaml"), {})
    assert settings == load(file, {})
    assert settings.storage.state_dir == tmp_path / "state"
    assert settings.storage.uploads == tmp_path / "state" / "uploads"
    assert settings.storage.url == f"sqlite:///{tmp_path}/conf/x.db"
    assert settings.camera.source == tmp_path / "conf" / "clips"
    assert settings.vision.assets_dir == Path("/models")


def test_the_environment_overrides_dotenv_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / ".env").write_text(
        'export UPLOAD_DIR="up loads" # photos\nACCESS_TOKEN_EXPIRE_MINUTES=7\n'
        "FACE_TOLERANCE='0.5'\n\n# comment\nUNRELATED=1\n"
    )
    text = "storage: {state_dir: a, upload_dir: b}\nauth: {access_token_expire_minutes: 5}"
    file = written(tmp_path, text)
    environ = {"GATED_STATE_DIR": "state", "ACCESS_TOKEN_EXPIRE_MINUTES": "9", "SECRET_KEY": ""}
    settings = load(file, environ)
    assert settings.storage.state_dir == tmp_path / "here" / "state"
    assert settings.storage.upload_dir == tmp_path / "up loads"
    assert settings.auth.access_token_expire_minutes == 9
    assert settings.recognition.face_tolerance == 0.5
    assert settings.auth.secret_key is None


def test_the_environment_replaces_a_wrong_value_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "auth: {access_token_expire_minutes: never}")
    assert load(file, {"ACCESS_TOKEN_EXPIRE_MINUTES": "9"}).auth.access_token_expire_minutes == 9


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FACE_TOLERANCE", "close"),
        ("FACE_TOLERANCE", "-1"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "1.5"),
        ("SECRET_KEY", "too-short"),
        ("DATABASE_URL", "mysql://user:hush@db/x"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not(
    tmp_path: Path, variable: str, value: str
) -> None:
    found = problems(tmp_path, "gate: {name: x}", {variable: value})
    assert len(found) == 1
    assert found[0].startswith(f"{variable}: {'.'.join(ENVIRONMENT[variable])}: ")
    assert "hush" not in found[0]
    assert "too-short" not in found[0]


def test_mistakes_of_dotenv_have_their_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("nonsense\nSECRET_KEY='open\nFACE_TOLERANCE=x\n")
    found = problems(tmp_path, "gate: {name: x}")
    assert found[:2] == [".env:1: expected KEY=VALUE", ".env:2: expected KEY=VALUE"]
    assert found[2].startswith(".env:3: FACE_TOLERANCE: recognition.face_tolerance: ")


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    text = (
        "camera: {driver: rtsp, url: 'rtsp://eve:hush@cam/1'}\n"
        "storage: {database_url: 'postgresql://eve:hush@db/x?password=hush'}\n"
        "auth: {secret_key: hush-0123456789abcdefghijklmnopqrst}"
    )
    settings = load(written(tmp_path, text), {})
    assert settings.camera.url == "rtsp://eve:hush@cam/1"
    shown = f"{settings!r} {settings} {settings.storage!r} {effective(settings)}"
    assert "hush" not in shown
    assert effective(settings)["camera"]["url"] == "rtsp://***@cam/1"
    with pytest.raises(ValueError, match="rtsp") as caught:
        CameraSettings(driver="rtsp", url="http://eve:hush@cam/1")
    assert "hush" not in str(caught.value)


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    assert find_config(named, {"GATED_CONFIG": str(other)}) == named
    assert find_config(None, {"GATED_CONFIG": str(other)}) == other
    assert find_config(None, {}) == ROOT / "gate.yaml"
    written(tmp_path, "")
    assert find_config(None, {}) == Path("gate.yaml")


CALIBRATION = Calibration("m", "made up", ((0.3, -2.0), (0.4, -3.0), (0.5, -4.0)))


def test_a_tolerance_says_its_rate_and_a_lax_one_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "gate: {name: x}")
    assert check_tolerance(load(file, {}), CALIBRATION) is None
    strict = load(file, {"FACE_TOLERANCE": "0.5"})
    assert check_tolerance(strict, CALIBRATION) == pytest.approx(1e-4)
    assert check_tolerance(load(file, {"FACE_TOLERANCE": "0.6"}), CALIBRATION) is not None
    with pytest.raises(ConfigError, match=r"one comparison in 100 .* use 0\.600 or less"):
        check_tolerance(load(file, {"FACE_TOLERANCE": "0.7"}), CALIBRATION)
    accepted = written(tmp_path, "recognition: {accept_lax_tolerance: true}")
    assert check_tolerance(load(accepted, {"FACE_TOLERANCE": "0.7"}), CALIBRATION) is not None


def test_a_tolerance_of_dlib_is_a_distance(tmp_path: Path) -> None:
    dlib = Calibration("d", "made up", ((-0.6, -2.2), (-0.544, -3.0), (-0.477, -4.0)))
    file = written(tmp_path, "vision: {engine: dlib}")
    rate = check_tolerance(load(file, {"FACE_TOLERANCE": "0.477"}), dlib)
    assert rate == pytest.approx(1e-4)
    with pytest.raises(ConfigError, match=r"use 0\.544 or less"):
        check_tolerance(load(file, {"FACE_TOLERANCE": "0.6"}), dlib)


# --- any file gives settings or a list of mistakes ----------------------------------------------


def known_keys(section: type[Section]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings that use the keys of a section, with values of any kind."""
    scalar = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-10, 10_000),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["replay", "gpiozero", "none", "hub", "off", "demo", "rtsp", "outside"]),
    )
    value = st.one_of(scalar, st.lists(scalar, max_size=2))
    return st.dictionaries(st.sampled_from([*section.model_fields, "qqq"]), value, max_size=5)


ANY_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        name: known_keys(type(getattr(Settings(), name))) | st.integers() | st.none()
        for name in Settings.model_fields
    },
)


@given(ANY_SETTINGS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mapping_gives_settings_or_mistakes_with_places(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    file = written(tmp_path, yaml.safe_dump(values))
    settings, mistakes = loaded(file)
    assert len(mistakes) == len(set(mistakes))
    assert all(re.search(r"gate.yaml:\d+: |not valid YAML", line) for line in mistakes)
    if settings is not None:
        assert Settings.model_validate(settings.model_dump()) == settings


@given(st.text(alphabet=st.sampled_from("ab:{}[]&*!|>-?,#'\" \n\t%@~0.e\ufeff\x85"), max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gives_settings_or_mistakes(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    settings, mistakes = loaded(file)
    assert (settings is None) == bool(mistakes)


@pytest.mark.parametrize(
    "asked", ["ask_for: [turn_left]", "ask_for: [look_up, look_up]", "movements: 3, ask_for: []"]
)
def test_a_challenge_needs_movements_to_choose_from(tmp_path: Path, asked: str) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(f"liveness: {{level: challenge, {asked}}}\n")
    with pytest.raises(ConfigError, match=r"liveness\.ask_for: .*two different"):
        load(file, {})


def test_cards_may_trigger_where_something_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    trigger = "recognition: {trigger: card}\n"
    for reads in ("badges: true", "reader: keyboard, device: /dev/input/by-id/reader"):
        file.write_text(f"{trigger}credentials: {{{reads}}}\n")
        assert load(file, {}).recognition.trigger == "card"
    file.write_text("credentials: {reader: keyboard}\n")
    with pytest.raises(ConfigError, match=r"credentials\.reader: reader keyboard needs device"):
        load(file, {})
    file.write_text(
        "credentials: {reader: simulated, device: /run/reader}\ncamera: {driver: v4l2}\n"
        "door: {driver: gpiozero, relay_pin: 17}\n"
    )
    with pytest.raises(ConfigError, match="simulated reader never opens a real door"):
        load(file, {})


def test_a_trigger_that_could_never_come_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("recognition: {trigger: card}\n")
    with pytest.raises(ConfigError, match=r"recognition\.trigger: nothing would"):
        load(file, {})
    pins = "driver: gpiozero, relay_pin: 17, rex_pin: 22"
    camera = "camera: {driver: v4l2}\n"
    file.write_text(f"recognition: {{trigger: input}}\n{camera}door: {{{pins}}}\n")
    with pytest.raises(ConfigError, match=r"trigger input needs door\.trigger_pin"):
        load(file, {})
    file.write_text(f"recognition: {{trigger: input}}\n{camera}door: {{{pins}, trigger_pin: 0}}\n")
    assert load(file, {}).door.trigger_pin == 0


@pytest.mark.parametrize(
    ("scheme", "level", "fits"),
    [
        ("rtsp", "strict", False),
        ("rtsps", "strict", True),
        ("rtsp", "normal", True),
        ("rtsp", "challenge", False),
    ],
)
def test_strict_liveness_wants_an_encrypted_camera(
    tmp_path: Path, scheme: str, level: str, fits: bool
) -> None:
    file = tmp_path / "gate.yaml"
    camera = f"camera: {{driver: rtsp, url: '{scheme}://cam/1'}}\ndoor: {{driver: simulated}}\n"
    file.write_text(f"{camera}liveness: {level}\n")
    if fits:
        assert load(file, {}).liveness.level == level
    else:
        with pytest.raises(ConfigError, match=f"liveness {level} needs rtsps://"):
            load(file, {})
