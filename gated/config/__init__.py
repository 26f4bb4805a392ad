"""Typed settings: `gate.yaml`, overridden by the environment; every error at once.

`load` reads the file, applies the contract's environment variables and validates; it raises one
ConfigError that lists every mistake with file, line and path. Relative paths are relative to the
file. Nothing here opens a device or a database.
"""

from gated.config.loading import (
    ENVIRONMENT,
    check_tolerance,
    effective,
    find_config,
    load,
    read_dotenv,
)
from gated.config.places import parse
from gated.config.settings import (
    SECTIONS,
    AccessSettings,
    AlarmSettings,
    ApiSettings,
    AttendanceSettings,
    AuthSettings,
    CameraSettings,
    CredentialSettings,
    DoorSettings,
    GateSettings,
    IndicatorSettings,
    LivenessSettings,
    LoggingSettings,
    PrivacySettings,
    RecognitionSettings,
    Section,
    Settings,
    StorageSettings,
    SyncSettings,
    UiSettings,
    VisionSettings,
    Zone,
)

__all__ = [
    "ENVIRONMENT",
    "SECTIONS",
    "AccessSettings",
    "AlarmSettings",
    "ApiSettings",
    "AttendanceSettings",
    "AuthSettings",
    "CameraSettings",
    "CredentialSettings",
    "DoorSettings",
    "GateSettings",
    "IndicatorSettings",
    "LivenessSettings",
    "LoggingSettings",
    "PrivacySettings",
    "RecognitionSettings",
    "Section",
    "Settings",
    "StorageSettings",
    "SyncSettings",
    "UiSettings",
    "VisionSettings",
    "Zone",
    "check_tolerance",
    "effective",
    "find_config",
    "load",
    "parse",
    "read_dotenv",
]
