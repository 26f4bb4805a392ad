"""Typed settings: `gate.yaml`, overridden by the environment; every error at once.

`load` reads the file, applies the contract's environment variables and validates; it raises one
ConfigError that lists every mistake with file, line and path. Relative paths are relative to the
file. Nothing here opens a device or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Name = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A node of gate.yaml: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class GateSettings(Section):
    name: Name = "gate"
    """Written as `gate_name` into every attendance row."""
    role: Literal["gate", "hub"] = "gate"
    site: Name = "site"
    timezone: str = "UTC"
    demo: bool = False
    """Enrol the demo person at start; refused with a real door or camera."""

    @model_validator(mode="after")
    def _zone_exists(self) -> GateSettings:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timezone: {self.timezone!r} is not an IANA time zone") from None
        return self


class Zone(Section):
    """The part of the picture that counts, in fractions of width and height."""

    left: Annotated[float, Field(ge=0, lt=1)] = 0.0
    top: Annotated[float, Field(ge=0, lt=1)] = 0.0
    right: Annotated[float, Field(gt=0, le=1)] = 1.0
    bottom: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _not_empty(self) -> Zone:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("the zone is empty: left < right and top < bottom are needed")
        return self


class CameraSettings(Section):
    driver: Literal["picamera2", "v4l2", "rtsp", "replay", "none"] = "replay"
    name: Name = "camera"
    """Written as `camera_name` into every attendance row."""
    device: int | str = 0
    """v4l2: index or path such as /dev/video0. picamera2: index."""
    url: str | None = None
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

    @model_validator(mode="after")
    def _driver_has_its_source(self) -> CameraSettings:
        if self.driver == "rtsp" and not (self.url or "").startswith(("rtsp://", "rtsps://")):
            raise ValueError("driver rtsp needs url: rtsp://... or rtsps://...")
        if self.driver == "replay" and self.source is None:
            raise ValueError("driver replay needs source: a video, a folder of images, or demo")
        return self


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
    min_sharpness: Annotated[float, Field(ge=0, le=1)] = 0.1
    min_brightness: Annotated[float, Field(ge=0, le=255)] = 30.0
    max_brightness: Annotated[float, Field(ge=0, le=255)] = 235.0
    enroll_min_eye_distance: Annotated[float, Field(ge=8)] = 30.0
    enroll_good_eye_distance: Annotated[float, Field(ge=8)] = 60.0


class RecognitionSettings(Section):
    trigger: Literal["continuous", "input", "card"] = "continuous"
    trigger_window_s: Seconds = 10.0
    """After a trigger faces are matched for so long."""
    frames: Annotated[int, Field(ge=1, le=20)] = 3
    """Agreeing usable frames that a grant needs."""
    fpir: Fraction = 0.001
    """Wanted false identification rate of the whole gate: strangers taken for somebody."""
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


class LivenessSettings(Section):
    level: Literal["off", "normal", "strict", "challenge"] = "normal"


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
    debounce_s: Annotated[float, Field(ge=0, le=1)] = 0.05
    unlock_s: Annotated[float, Field(gt=0, le=120)] = 3.0
    max_unlock_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    mounting: Literal["inside", "outside"] = "inside"
    """On which side of the wall the computer hangs."""
    accept_outside_relay: bool = False
    accept_boot_glitch: bool = False
    """Accept a relay pin whose level at reset energises the relay."""
    rex_releases: bool = True

    @model_validator(mode="after")
    def _wiring_is_safe(self) -> DoorSettings:
        if self.driver != "gpiozero":
            return self
        if self.relay_pin is None:
            raise ValueError("driver gpiozero needs relay_pin")
        inputs = (self.contact_pin, self.rex_pin, self.fire_pin)
        pins = [self.relay_pin, *(p for p in inputs if p is not None)]
        if len(pins) != len(set(pins)):
            raise ValueError("one pin is used twice")
        if self.mounting == "outside" and not self.accept_outside_relay:
            raise ValueError(
                "a relay on the outside of the wall is a skeleton key: mount the computer inside, "
                "or accept it with accept_outside_relay: true"
            )
        # BCM2711/BCM2712 data sheets: GPIO 0-8 are pulled up at reset, 9-27 pulled down
        pulled_up = self.relay_pin <= 8
        opens_at_reset = self.lock_type == "strike" and pulled_up == self.relay_active_high
        if opens_at_reset and not self.accept_boot_glitch:
            level = "up" if pulled_up else "down"
            raise ValueError(
                f"GPIO{self.relay_pin} is pulled {level} at reset, which energises this strike "
                "while the computer boots: choose a pin of the other group (0-8 up, 9-27 down), or "
                "accept it with accept_boot_glitch: true"
            )
        return self


class AttendanceSettings(Section):
    direction: Literal["entry", "exit", "auto"] = "auto"
    auto_reset_h: Annotated[float, Field(gt=0, le=168)] = 16.0
    """`auto`: after so long without a punch the next one is an entry again."""


class StorageSettings(Section):
    state_dir: Path = Path()
    """The one directory that the program writes to."""
    database_url: str | None = None
    """SQLAlchemy URL; default: SQLite file attendance.db in the state directory."""
    upload_dir: Path | None = None
    """Photos and encodings; default: uploads/ in the state directory."""
    key_file: Path | None = None
    """Key of the sealed files; default: a systemd credential, else keys/seal.key (0600)."""
    journal_queue: Annotated[int, Field(ge=8, le=65_536)] = 1024
    keep_stranger_pictures: bool = False

    @property
    def url(self) -> str:
        """The database to use."""
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

    @model_validator(mode="after")
    def _open_only_with_tls(self) -> ApiSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        local = self.host in {"127.0.0.1", "::1", "localhost"}
        if not local and self.tls_certificate is None and not self.insecure:
            raise ValueError(
                f"host {self.host} is reachable from outside: give tls_certificate and tls_key, "
                "or accept it with insecure: true"
            )
        return self


class AuthSettings(Section):
    secret_key: SecretStr | None = None
    """Key of the tokens; default: made once and kept in keys/token.key with mode 0600."""
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    registration: Literal["closed", "approval", "open"] = "approval"

    @model_validator(mode="after")
    def _key_is_strong(self) -> AuthSettings:
        key = self.secret_key.get_secret_value() if self.secret_key else None
        weak = ("secret", "changeme", "change-me", "your-secret-key", "password", "example")
        if key is not None and (len(key) < 32 or key.lower().startswith(weak)):
            raise ValueError(
                "secret_key is too short or well known: use 32 random characters or more, "
                "or leave it out and one is made"
            )
        return self


class PrivacySettings(Section):
    require_consent: bool = False


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

    @model_validator(mode="after")
    def _parts_fit(self) -> Settings:
        if self.camera.driver == "replay" and self.door.driver == "gpiozero":
            raise ValueError("camera: replay never drives a real door (door.driver: gpiozero)")
        if self.gate.demo and (self.camera.driver != "replay" or self.door.driver != "simulated"):
            raise ValueError("gate.demo needs camera.driver: replay and door.driver: simulated")
        if self.gate.role == "gate" and self.camera.driver == "none":
            raise ValueError("gate.role: gate needs a camera (camera.driver)")
        if self.gate.role == "hub" and (self.camera.driver != "none" or self.door.driver != "none"):
            raise ValueError("gate.role: hub needs camera.driver: none and door.driver: none")
        return self


ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "DATABASE_URL": ("storage", "database_url"),
    "SECRET_KEY": ("auth", "secret_key"),
    "ACCESS_TOKEN_EXPIRE_MINUTES": ("auth", "access_token_expire_minutes"),
    "UPLOAD_DIR": ("storage", "upload_dir"),
    "FACE_TOLERANCE": ("recognition", "face_tolerance"),
    "GATED_STATE_DIR": ("storage", "state_dir"),
}
"""Environment variable -> the setting that it overrides."""
