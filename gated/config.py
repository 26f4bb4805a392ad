"""Typed settings: `gate.yaml`, overridden by the environment; every error at once.

`load` reads the file, applies the contract's environment variables and validates; it raises one
ConfigError that lists every mistake with file, line and path. Relative paths are relative to the
file. Nothing here opens a device or a database.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from gated.errors import ConfigError

if TYPE_CHECKING:
    from gated.core.calibration import Calibration

Name = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Fraction = Annotated[float, Field(gt=0, lt=1)]

_COLLECT_MISFITS = {"misfits": "collected by the loader"}


class Misfit(NamedTuple):
    """Values that are fine one by one and impossible together; `keys` are those concerned."""

    keys: tuple[str, ...]
    text: str


class Section(BaseModel):
    """A node of gate.yaml: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    word: ClassVar[str | None] = None
    """The key that is meant where one word stands in place of the section."""

    def misfits(self) -> Iterator[Misfit]:
        """Impossible combinations of this section's own values."""
        return iter(())

    @model_validator(mode="after")
    def _values_fit(self, info: ValidationInfo) -> Self:
        if info.context != _COLLECT_MISFITS:
            for misfit in self.misfits():
                raise ValueError(misfit.text)
        return self


class GateSettings(Section):
    name: Name = "gate"
    """Written as `gate_name` into every attendance row."""
    role: Literal["gate", "hub"] = "gate"
    site: Name = "site"
    timezone: str = "UTC"
    demo: bool = False
    """Enrol the demo person at start; refused with a real door or camera."""

    def misfits(self) -> Iterator[Misfit]:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            yield Misfit(("timezone",), f"{self.timezone!r} is not an IANA time zone")


class Zone(Section):
    """The part of the picture that counts, in fractions of width and height."""

    left: Annotated[float, Field(ge=0, lt=1)] = 0.0
    top: Annotated[float, Field(ge=0, lt=1)] = 0.0
    right: Annotated[float, Field(gt=0, le=1)] = 1.0
    bottom: Annotated[float, Field(gt=0, le=1)] = 1.0

    def misfits(self) -> Iterator[Misfit]:
        if self.left >= self.right:
            yield Misfit(("left", "right"), "the zone is empty: left < right is needed")
        if self.top >= self.bottom:
            yield Misfit(("top", "bottom"), "the zone is empty: top < bottom is needed")


class CameraSettings(Section):
    driver: Literal["picamera2", "v4l2", "rtsp", "replay", "none"] = "replay"
    name: Name = "camera"
    """Written as `camera_name` into every attendance row."""
    device: int | str = 0
    """v4l2: index or path such as /dev/video0. picamera2: index."""
    url: str | None = Field(default=None, repr=False)
    """rtsp: rtsp:// or rtsps:// address. May hold credentials; they are never logged."""
    source: Path | Literal["demo"] | None = None
    """replay: a video file, a folder of images, or `demo`."""
    loop: bool = True
    """replay: begin again at the end."""
    realtime: bool = True
    """replay: at recorded speed rather than as fast as possible."""
    width: Annotated[int, Field(ge=160, le=4096)] = 640
    height: Annotated[int, Field(ge=120, le=4096)] = 480
    fps: Annotated[float, Field(gt=0, le=120)] = 15.0
    rotate: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    open_timeout_s: Annotated[float, Field(gt=0, le=10)] = 3.0
    read_timeout_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    frozen_after_s: Seconds = 10.0
    """The same picture for so long counts as a failure (not for replay)."""
    zone: Zone = Zone()

    def misfits(self) -> Iterator[Misfit]:
        if self.driver == "rtsp" and not (self.url or "").startswith(("rtsp://", "rtsps://")):
            yield Misfit(("url", "driver"), "driver rtsp needs url: rtsp://... or rtsps://...")
        if self.driver == "replay" and self.source is None:
            yield Misfit(
                ("source", "driver"),
                "driver replay needs source: a video, a folder of images, or demo",
            )


class VisionSettings(Section):
    engine: Literal["sface", "dlib"] = "sface"
    detection_size: Annotated[int, Field(ge=96, le=1920)] = 320
    """Long side of the picture that the detector sees."""
    threads: Annotated[int, Field(ge=1, le=16)] = 2
    assets_dir: Path | None = None
    """Looked at first for model files; then the state directory, then the installation."""
    idle_fps: Annotated[float, Field(gt=0, le=30)] = 5.0
    """How often a still scene is looked at by the detector."""
    min_detection: Fraction = 0.7
    min_eye_distance: Annotated[float, Field(ge=8)] = 14.0
    max_yaw: Annotated[float, Field(gt=0, le=90)] = 35.0
    max_pitch: Annotated[float, Field(gt=0, le=90)] = 30.0
    max_roll: Annotated[float, Field(gt=0, le=180)] = 45.0
    min_sharpness: Annotated[float, Field(ge=0, le=1)] = 0.1
    min_brightness: Annotated[float, Field(ge=0, le=255)] = 30.0
    max_brightness: Annotated[float, Field(ge=0, le=255)] = 235.0
    enroll_min_eye_distance: Annotated[float, Field(ge=8)] = 30.0
    enroll_good_eye_distance: Annotated[float, Field(ge=8)] = 60.0


class RecognitionSettings(Section):
    trigger: Literal["continuous", "input", "card"] = "continuous"
    """`input`: faces are matched only after `door.trigger_pin` was active."""
    trigger_window_s: Seconds = 10.0
    """After a trigger faces are matched for so long."""
    frames: Annotated[int, Field(ge=1, le=20)] = 3
    """Agreeing usable frames that a grant needs."""
    fpir: Fraction = 0.001
    """Wanted false identification rate of the whole gate: strangers taken for somebody."""
    calibration: Path | None = None
    """False match rates as `gated calibrate` wrote them; null: those that come with the program."""
    face_tolerance: Annotated[float, Field(gt=0, le=2)] | None = None
    """Largest accepted distance in the model's own metric; overrides the calibrated threshold."""
    accept_lax_tolerance: bool = False
    """Accept a tolerance laxer than a false match rate of 1e-3."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    """How far the best person must be ahead of the next one, in similarity."""
    max_frame_age_s: Seconds = 1.0
    max_attempts: Annotated[int, Field(ge=3, le=200)] = 30
    """Embeddings per track; then the track is settled until it changes hands."""
    decide_after_s: Seconds = 1.5
    """Usable frames for so long without a grant end in a denial."""
    visit_closes_after_s: Seconds = 2.0
    denial_interval_s: Seconds = 5.0
    max_denials_per_visit: Annotated[int, Field(ge=1, le=100)] = 3

    def misfits(self) -> Iterator[Misfit]:
        if self.trigger == "card":
            yield Misfit(
                ("trigger",),
                "no card reader can be connected yet, so nothing would ever ask for a decision: "
                "set input or continuous",
            )


class LivenessSettings(Section):
    word = "level"

    level: Literal["off", "normal", "strict", "challenge"] = "normal"
    """off: none. normal: three frames. strict: five, with higher scores."""
    lockout_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """After an attack in somebody's name that person is not let in for so long."""
    alarm_attacks: Annotated[int, Field(ge=1, le=100)] = 3
    """So many attacks within `alarm_window_s` raise an alarm."""
    alarm_window_s: Seconds = 300.0

    def misfits(self) -> Iterator[Misfit]:
        if self.level == "challenge":
            yield Misfit(
                ("level",),
                "the gate cannot ask for movements yet: challenge would be no more than strict; "
                "set strict",
            )


class AccessSettings(Section):
    cooldown_s: Annotated[float, Field(ge=0, le=86_400)] = 3.0
    """After a grant the same person is not granted again in a new visit for so long."""


class DoorSettings(Section):
    driver: Literal["gpiozero", "simulated", "none"] = "simulated"
    relay_pin: Annotated[int, Field(ge=0, le=27)] | None = None
    relay_active_high: bool = True
    lock_type: Literal["strike", "maglock"] = "strike"
    """strike: locked without power (fail-secure). maglock: unlocked without power (fail-safe)."""
    contact_pin: Annotated[int, Field(ge=0, le=27)] | None = None
    rex_pin: Annotated[int, Field(ge=0, le=27)] | None = None
    fire_pin: Annotated[int, Field(ge=0, le=27)] | None = None
    trigger_pin: Annotated[int, Field(ge=0, le=27)] | None = None
    """Button or sensor to ground that asks for a decision (`recognition.trigger: input`)."""
    debounce_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    unlock_s: Annotated[float, Field(gt=0, le=120)] = 3.0
    max_unlock_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    mounting: Literal["inside", "outside"] = "inside"
    """On which side of the wall the computer hangs."""
    accept_outside_relay: bool = False
    accept_boot_glitch: bool = False
    """Accept a relay pin whose level at reset energises the relay."""
    rex_releases: bool = True

    def misfits(self) -> Iterator[Misfit]:
        if self.driver != "gpiozero":
            return
        if self.relay_pin is None:
            yield Misfit(("relay_pin", "driver"), "driver gpiozero needs relay_pin")
        yield from self._shared_pins()
        if self.mounting == "outside" and not self.accept_outside_relay:
            yield Misfit(
                ("mounting", "accept_outside_relay", "driver"),
                "a relay on the outside of the wall is a skeleton key: mount the computer inside, "
                "or accept it with accept_outside_relay: true",
            )
        if self.relay_pin is not None and not self.accept_boot_glitch:
            yield from self._boot_glitch(self.relay_pin)

    def _shared_pins(self) -> Iterator[Misfit]:
        users: dict[int, str] = {}
        for key in ("relay_pin", "contact_pin", "rex_pin", "fire_pin", "trigger_pin"):
            pin = getattr(self, key)
            if pin is not None and users.setdefault(pin, key) != key:
                yield Misfit((key, users[pin], "driver"), f"GPIO{pin} is {users[pin]} already")

    def _boot_glitch(self, pin: int) -> Iterator[Misfit]:
        # BCM2711/BCM2712 data sheets: GPIO 0-8 are pulled up at reset, 9-27 pulled down
        pulled_up = pin <= 8
        if self.lock_type == "strike" and pulled_up == self.relay_active_high:
            yield Misfit(
                ("relay_pin", "relay_active_high", "lock_type", "accept_boot_glitch", "driver"),
                f"GPIO{pin} is pulled {'up' if pulled_up else 'down'} at reset, which energises "
                "this strike while the computer boots: choose a pin of the other group (0-8 up, "
                "9-27 down), or accept it with accept_boot_glitch: true",
            )


class AttendanceSettings(Section):
    direction: Literal["entry", "exit", "auto"] = "auto"
    auto_reset_h: Annotated[float, Field(gt=0, le=168)] = 16.0
    """The longest visit: `auto` begins with an entry again after so long, and in reports an exit so
    long after the entry does not belong to it."""
    double_punch_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """In reports punches in the same direction that follow each other within it are one; with
    `auto` who is recognised again within it still goes the same way."""
    day_start_h: Annotated[float, Field(ge=0, lt=24)] = 0.0
    """Hours after midnight; in reports a visit that begins earlier belongs to the day before."""


class StorageSettings(Section):
    state_dir: Path = Path()
    """The one directory that the program writes to."""
    database_url: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL; default: SQLite file attendance.db in the state directory."""
    upload_dir: Path | None = None
    """Photos and encodings; default: uploads/ in the state directory."""
    key_file: Path | None = None
    """Key of the sealed files; default: a systemd credential, else keys/seal.key (0600)."""
    journal_queue: Annotated[int, Field(ge=8, le=65_536)] = 1024
    keep_stranger_pictures: bool = False

    def misfits(self) -> Iterator[Misfit]:
        if self.database_url and not re.match(r"(sqlite|postgresql)(\+\w+)?:", self.database_url):
            yield Misfit(
                ("database_url",), "must begin with sqlite:/// or postgresql:// (no other database)"
            )

    @property
    def url(self) -> str:
        """The database to use; may hold a password."""
        return self.database_url or f"sqlite:///{self.state_dir / 'attendance.db'}"

    @property
    def uploads(self) -> Path:
        """Where photos and encodings live."""
        return self.upload_dir or self.state_dir / "uploads"


class ApiSettings(Section):
    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    insecure: bool = False
    """Accept an address other than the loopback without TLS."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    docs: bool = True
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    """Web sites whose pages may use the API with a bearer token, such as https://hr.example.org."""

    def misfits(self) -> Iterator[Misfit]:
        for origin in self.cors_origins:
            if not re.fullmatch(r"https?://[^/*\s]+", origin):
                yield Misfit(("cors_origins",), f"{origin!r} is no origin such as https://host")
        if (self.tls_certificate is None) != (self.tls_key is None):
            yield Misfit(
                ("tls_certificate", "tls_key"), "tls_certificate and tls_key belong together"
            )
        local = self.host in {"127.0.0.1", "::1", "localhost"}
        if not local and self.tls_certificate is None and not self.insecure:
            yield Misfit(
                ("host", "tls_certificate", "insecure"),
                f"{self.host} is reachable from outside: give tls_certificate and tls_key, "
                "or accept it with insecure: true",
            )


class AuthSettings(Section):
    secret_key: SecretStr | None = None
    """Key of the tokens; default: made once and kept in keys/token.key with mode 0600."""
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    registration: Literal["closed", "approval", "open"] = "approval"

    def misfits(self) -> Iterator[Misfit]:
        key = self.secret_key.get_secret_value() if self.secret_key else None
        weak = ("secret", "changeme", "change-me", "your-secret-key", "password", "example")
        if key is not None and (len(key) < 32 or len(set(key)) < 8 or key.lower().startswith(weak)):
            yield Misfit(
                ("secret_key",),
                "too short or well known: use 32 random characters or more, "
                "or leave it out and one is made",
            )


class PrivacySettings(Section):
    require_consent: bool = False
    """Refuse to enrol without a recorded consent; what is enrolled without one is removed."""
    photos_days: Days | None = None
    """Reference photos are removed so long after they were enrolled; the templates stay."""
    access_log_days: Days | None = None
    """Refusals and unused grants lose the name of the person."""
    attendance_days: Days | None = None
    """Entries and exits lose the name of the person."""
    audit_days: Days | None = None
    """Acts of administration lose the names and addresses."""
    hold_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Persons are not erased so long after their last passage, unless an admin gives a reason."""
    unknown_faces_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Pictures of strangers; 0 keeps none."""

    def misfits(self) -> Iterator[Misfit]:
        if self.unknown_faces_days:
            yield Misfit(
                ("unknown_faces_days",), "pictures of strangers are not stored: it must be 0"
            )
        if self.attendance_days is not None and self.attendance_days < self.hold_days:
            yield Misfit(
                ("attendance_days", "hold_days"),
                "the attendance record would lose its names before hold_days are over",
            )


class SyncSettings(Section):
    hub_url: str | None = None


class UiSettings(Section):
    enabled: bool = True


class LoggingSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """All of gate.yaml."""

    gate: GateSettings = GateSettings()
    camera: CameraSettings = CameraSettings(source="demo")
    vision: VisionSettings = VisionSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    liveness: LivenessSettings = LivenessSettings()
    access: AccessSettings = AccessSettings()
    door: DoorSettings = DoorSettings()
    attendance: AttendanceSettings = AttendanceSettings()
    storage: StorageSettings = StorageSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    privacy: PrivacySettings = PrivacySettings()
    sync: SyncSettings = SyncSettings()
    ui: UiSettings = UiSettings()
    logging: LoggingSettings = LoggingSettings()

    def _has_no_trigger(self) -> bool:
        return self.door.driver == "gpiozero" and self.door.trigger_pin is None

    def misfits(self) -> Iterator[Misfit]:
        camera, door, gate = self.camera.driver, self.door.driver, self.gate
        drivers = ("camera.driver", "door.driver")
        if camera == "replay" and door == "gpiozero":
            yield Misfit(drivers, "a replay never drives a real door (door.driver: gpiozero)")
        if gate.demo and (camera != "replay" or door != "simulated"):
            yield Misfit(
                ("gate.demo", *drivers),
                "the demo needs camera.driver: replay and door.driver: simulated",
            )
        if self.recognition.trigger == "input" and self._has_no_trigger():
            yield Misfit(
                ("recognition.trigger", "door.trigger_pin"),
                "nothing would ever ask for a decision: trigger input needs door.trigger_pin",
            )
        url = self.camera.url or ""
        if self.liveness.level == "strict" and camera == "rtsp" and url.startswith("rtsp://"):
            yield Misfit(
                ("camera.url", "liveness.level"),
                "anybody on the network can replace an unencrypted picture: liveness strict needs "
                "rtsps://",
            )
        if gate.role == "gate" and camera == "none":
            yield Misfit(("camera.driver", "gate.role"), "a gate needs a camera (gate.role: gate)")
        if gate.role == "hub" and (camera != "none" or door != "none"):
            yield Misfit(
                ("gate.role", *drivers), "a hub needs camera.driver: none and door.driver: none"
            )


ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "DATABASE_URL": ("storage", "database_url"),
    "SECRET_KEY": ("auth", "secret_key"),
    "ACCESS_TOKEN_EXPIRE_MINUTES": ("auth", "access_token_expire_minutes"),
    "UPLOAD_DIR": ("storage", "upload_dir"),
    "FACE_TOLERANCE": ("recognition", "face_tolerance"),
    "GATED_STATE_DIR": ("storage", "state_dir"),
}
"""Environment variable -> the setting that it overrides."""


# --- reading ------------------------------------------------------------------------------------

Keys = tuple[str | int, ...]
"""Where a value stands: section, key, index, ..."""

_SECRET_PARTS = re.compile(r"(?<=//)[^/@\s]+@|(?<=password=)[^&\s]+", re.IGNORECASE)


@dataclass
class Draft:
    """What was read so far: plain values, where each stands, and what is wrong with it."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Keys, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    wrong: set[Keys] = field(default_factory=set)

    def complain(self, keys: Keys, text: str) -> None:
        """Note a wrong value at `keys`."""
        self.wrong.add(keys)
        self.misfit(keys, text)

    def complain_unknown(self, keys: Keys, owner: type[Section]) -> None:
        """Note a key that `owner` does not have; what was probably meant counts as wrong, too."""
        key = str(keys[-1])
        near = difflib.get_close_matches(key, owner.model_fields, 1, 0.6)
        homes = [name for name, cls in SECTIONS.items() if key in cls.model_fields]
        if homes and len(keys) > 1:
            self.wrong.add((homes[0], key))
            self.complain(keys, f"unknown key here; did you mean {homes[0]}.{key}?")
        elif near:
            self.wrong.add((*keys[:-1], near[0]))
            self.complain(keys, f"unknown key; did you mean {near[0]}?")
        else:
            self.complain(keys, f"unknown key; known here: {', '.join(owner.model_fields)}")

    def misfit(self, keys: Keys, text: str) -> None:
        """Note a mistake with the nearest place known, without calling the value itself wrong."""
        known = next(k for n in range(len(keys), -1, -1) if (k := keys[:n]) in self.origins)
        subject = f"{dotted(keys)}: " if keys else ""
        self.problems.append(f"{self.origins[known]}: {subject}{text}")


def dotted(keys: Keys) -> str:
    """`("door", "relay_pin")` -> `door.relay_pin`."""
    return ".".join(str(k) for k in keys)


def find_config(explicit: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: the one named, $GATED_CONFIG, or the first of the usual places."""
    if explicit is not None:
        return explicit
    if environ.get("GATED_CONFIG"):
        return Path(environ["GATED_CONFIG"])
    checkout = Path(__file__).parent.parent
    places = [Path("gate.yaml"), Path("/etc/gated/gate.yaml")]
    if (checkout / "pyproject.toml").is_file():
        places.insert(1, checkout / "gate.yaml")
    return next((place for place in places if place.is_file()), None)


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration; ConfigError lists every mistake, each with its place."""
    file = find_config(path, environ)
    if file is None:
        raise ConfigError(
            "no gate.yaml here or in /etc/gated: name one with --config or GATED_CONFIG"
        )
    draft = parse(_read(file), _shown(file))
    base = Path(os.path.abspath(file)).parent
    _apply_environment(draft, environ, base)
    settings = _build(draft, base)
    if settings is None:
        raise ConfigError(*draft.problems)
    return settings


def check_tolerance(settings: Settings, calibration: Calibration) -> float | None:
    """The false match rate that `face_tolerance` stands for; None without one.

    ConfigError when it is laxer than 1e-3 and that is not accepted in words.
    """
    # NumPy comes with it, which `gated door lock` must not need
    from gated.core.calibration import TOLERANCE_LIMIT

    tolerance = settings.recognition.face_tolerance
    if tolerance is None:
        return None
    cosine = settings.vision.engine == "sface"
    fmr = calibration.fmr(1.0 - tolerance if cosine else -tolerance)
    if fmr > TOLERANCE_LIMIT * (1 + 1e-9) and not settings.recognition.accept_lax_tolerance:
        limit = calibration.similarity_at(TOLERANCE_LIMIT)
        raise ConfigError(
            f"recognition.face_tolerance (FACE_TOLERANCE): {tolerance:g} lets one comparison in "
            f"{1 / fmr:.0f} match a stranger: use {1.0 - limit if cosine else -limit:.3f} or less "
            f"(one in {1 / TOLERANCE_LIMIT:.0f}), or accept it with accept_lax_tolerance: true"
        )
    return fmr


def effective(settings: Settings) -> dict[str, Any]:
    """The settings in force as plain values for display; secrets are masked."""
    masked: dict[str, Any] = _masked(settings.model_dump(mode="json"))
    return masked


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _masked(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v) for v in value]
    if isinstance(value, str):
        return _SECRET_PARTS.sub(lambda m: "***@" if m[0].endswith("@") else "***", value)
    return value


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_shown(file)}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{_shown(file)}: {error.strerror or error}") from None


def _shown(file: Path) -> str:
    """The path as short as it is unambiguous from here."""
    absolute = Path(os.path.abspath(file))
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


# --- YAML with places -----------------------------------------------------------------------------


class _Yaml(yaml.SafeLoader):
    """YAML 1.2's core schema: `off`, `no` and `12:30` are words, `1e-3` is a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", f"^(?:{_INT.pattern})$", list("-+0123456789")),
    ("float", f"^(?:{_FLOAT.pattern})$", list("-+.0123456789")),
):
    _Yaml.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)


def parse(text: str, name: str) -> Draft:
    """Values of a YAML document with the line of each; ConfigError when it is not YAML."""
    draft = Draft(origins={(): name})
    try:
        root = yaml.compose(text, Loader=_Yaml)
        if root is not None:
            value = _plain(root, (), draft, name, set())
            if isinstance(value, dict):
                draft.values = value
            elif value is not None:
                draft.complain((), "must hold sections such as `camera:` and `door:`")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{name}{where}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{name}: not valid YAML: nested too deeply") from None
    return draft


def _plain(node: yaml.Node, keys: Keys, draft: Draft, name: str, seen: set[int]) -> Any:
    """The plain value of a node; notes lines and mistakes in the draft."""
    draft.origins.setdefault(keys, f"{name}:{node.start_mark.line + 1}")
    if id(node) in seen:
        draft.complain(keys, "aliases (*name) are not supported: write the value out")
        return None
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, keys, draft, name, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(n, (*keys, i), draft, name, seen) for i, n in enumerate(node.value)]
    try:
        return _scalar(node.tag.removeprefix(_TAG), node.value)
    except ValueError:
        draft.complain(keys, f"{node.value[:40]!r} is not a value of type {node.tag[-20:]}")
        return None


def _plain_mapping(
    node: yaml.MappingNode, keys: Keys, draft: Draft, name: str, seen: set[int]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        at = (*keys, key)
        if key in values:
            first = draft.origins[at].rpartition(":")[2]
            draft.problems.append(f"{where}: {dotted(at)}: is there twice (first on line {first})")
            continue
        draft.origins[at] = where
        values[key] = _plain(value_node, at, draft, name, seen)
    return values


def _scalar(tag: str, text: str) -> Any:
    """ValueError when the text is not of this type, or cannot be stored as text."""
    text.encode()
    match tag:
        case "null":
            return None
        case "bool":
            return {"true": True, "false": False}[text.lower()]
        case "int" if _INT.fullmatch(text):
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
        case "str":
            return text
    raise ValueError


# --- environment ----------------------------------------------------------------------------------


def read_dotenv(text: str, name: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """`KEY=VALUE` lines -> {key: (value, place)}, and what could not be understood."""
    values: dict[str, tuple[str, str]] = {}
    problems = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        try:
            if not equals or not re.fullmatch(r"\w+", key.strip()):
                raise ValueError
            values[key.strip()] = (_unquoted(value.strip()), f"{name}:{number}")
        except ValueError:
            problems.append(f"{name}:{number}: expected KEY=VALUE")
    return values, problems


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote not in {"'", '"'}:
        return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    end = re.fullmatch(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}\s*(#.*)?", value)
    if end is None:
        raise ValueError("unbalanced quotes")
    if quote == "'":
        return end[1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), end[1])


def _apply_environment(draft: Draft, environ: Mapping[str, str], base: Path) -> None:
    """Let the variables of the environment, then those of `.env`, override the file."""
    found: dict[str, tuple[str, str, Path]] = {}
    dotenv = next((f for f in (base / ".env", Path.cwd() / ".env") if f.is_file()), None)
    if dotenv is not None:
        values, problems = read_dotenv(_read(dotenv), _shown(dotenv))
        draft.problems += problems
        found = {k: (v, f"{place}: {k}", dotenv.parent) for k, (v, place) in values.items()}
    found |= {k: (v, k, Path.cwd()) for k, v in environ.items() if v}
    for variable, keys in ENVIRONMENT.items():
        value, origin, relative_to = found.get(variable, ("", "", base))
        if value:
            _override(draft, keys, value, origin, relative_to)


def _override(draft: Draft, keys: tuple[str, ...], text: str, origin: str, base: Path) -> None:
    """Put the text of a variable in the place of the file's value; `base` is for its paths."""
    section, key = keys
    draft.origins[keys] = origin
    target = draft.values.setdefault(section, {})
    if not isinstance(target, dict):
        return
    target.pop(key, None)
    info = SECTIONS[section].model_fields[key]
    try:
        typed = TypeAdapter[Any](info.rebuild_annotation()).validate_python(text)
    except ValidationError as error:
        draft.complain(keys, _joined([e["msg"] for e in error.errors()]))
        return
    match typed:
        case Path():
            target[key] = os.path.normpath(base / typed)
        case int() | float():
            target[key] = typed
        case _:
            target[key] = _absolute_sqlite(text, base)


# --- checking -------------------------------------------------------------------------------------

SECTIONS: Mapping[str, type[Section]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}


def _build(draft: Draft, base: Path) -> Settings | None:
    """The settings, or None when the draft has problems (all of them are noted then)."""
    parts: dict[str, Section] = {}
    for name, values in draft.values.items():
        if name not in SECTIONS:
            draft.complain_unknown((name,), Settings)
        elif isinstance(values, dict):
            parts[name] = _section(name, values, draft, base)
        elif isinstance(values, str) and (word := SECTIONS[name].word):
            parts[name] = _section(name, {word: values}, draft, base)
        elif values is not None:
            draft.complain((name,), "must be a section with keys of its own")
    settings = Settings.model_validate(parts, context=_COLLECT_MISFITS)
    for keys, misfit in _all_misfits(settings, ()):
        places = [(*keys, *key.split(".")) for key in misfit.keys]
        if not draft.wrong.intersection(p[:n] for p in places for n in range(len(p) + 1)):
            given = (p for p in places if p in draft.origins)
            draft.misfit(next(given, places[0]), misfit.text)
    draft.problems.sort(key=_line)
    return None if draft.problems else settings


def _section(name: str, values: dict[str, Any], draft: Draft, base: Path) -> Section:
    """The section as far as its values are right; the wrong ones are noted and left out."""
    cls = SECTIONS[name]
    values = {k: v for k, v in values.items() if all(w[:2] != (name, k) for w in draft.wrong)}
    while True:
        try:
            # as JSON, because strictness there still takes text for a path and a list for a tuple
            part = cls.model_validate_json(
                json.dumps(values), strict=True, context=_COLLECT_MISFITS
            )
            return _anchored(part, base)
        except ValidationError as error:
            if not values:
                raise  # a default is wrong: our mistake, not the user's
            wrong: dict[Keys, list[str]] = {}
            left_out: set[str | int] = set()
            for item in error.errors():
                keys = _existing(item["loc"], values)
                if item["type"] == "extra_forbidden":
                    draft.complain_unknown((name, *keys), _owner(keys, cls))
                else:
                    wrong.setdefault((name, *keys), []).append(item["msg"])
                left_out.update(keys[:1] or values)
            for keys, messages in wrong.items():
                draft.complain(keys, _joined(messages))
            values = {k: v for k, v in values.items() if k not in left_out}


def _existing(loc: Keys, values: Any) -> Keys:
    """The part of an error's place that is in the file: without the branches of a union."""
    keys: Keys = ()
    for part in loc:
        inside = isinstance(values, dict) and part in values
        if not inside and not (isinstance(values, list) and isinstance(part, int)):
            break
        keys, values = (*keys, part), values[part]
    return keys


def _owner(keys: Keys, cls: type[Section]) -> type[Section]:
    """The section model that the last of these keys stands in."""
    for key in keys[:-1]:
        annotation = cls.model_fields[str(key)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            cls = annotation
    return cls


def _joined(messages: list[str]) -> str:
    """Messages of pydantic as the end of a sentence that begins with the key."""
    short = dict.fromkeys(
        m.removeprefix("Input ").replace("boolean", "true or false") for m in messages
    )
    return " or ".join(short)


def _all_misfits(section: Section, keys: Keys) -> Iterator[tuple[Keys, Misfit]]:
    for name, value in section:
        if isinstance(value, Section):
            yield from _all_misfits(value, (*keys, name))
    for misfit in section.misfits():
        yield keys, misfit


def _anchored(section: Section, base: Path) -> Section:
    """The section with its relative paths made absolute."""
    changed: dict[str, Any] = {}
    for name, value in section:
        if isinstance(value, Section):
            changed[name] = _anchored(value, base)
        elif isinstance(value, Path):
            changed[name] = Path(os.path.normpath(base / value))
        elif name == "database_url" and value:
            changed[name] = _absolute_sqlite(value, base)
    return section.model_copy(update=changed)


def _absolute_sqlite(url: str, base: Path) -> str:
    """A relative SQLite file is relative to `base`, as every other path of its source."""
    relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?:\./)?(?!/|:memory:|file:)(.+)", url)
    return f"{relative[1]}{base}/{relative[2]}" if relative else url


def _line(problem: str) -> int:
    place = re.match(r"[^:]*:(\d+)", problem)
    return int(place[1]) if place else 0
