"""The person that the demo knows."""

from __future__ import annotations

from gated.config import Settings
from gated.services.models import asset_store
from gated.services.office import Office

CODE = "DEMO-1"
NAMES = {"first_name": "Barack", "last_name": "Obama"}
PHOTO = "obama.jpg"
ACTOR = "demo"


def enroll_demo_person(office: Office, settings: Settings) -> None:
    """Enroll the demo person from one photo unless that was done before."""
    office.enrollment.enroll_as(CODE, NAMES, asset_store(settings).read(PHOTO), ACTOR)
