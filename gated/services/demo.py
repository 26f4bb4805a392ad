"""The person that the demo knows."""

from __future__ import annotations

from gated.config import Settings
from gated.errors import NotFound
from gated.services.models import asset_store
from gated.services.office import Office

CODE = "DEMO-1"
PHOTO = "obama.jpg"
ACTOR = "demo"


def enroll_demo_person(office: Office, settings: Settings) -> None:
    """Enroll the demo person from one photo unless that was done before."""
    try:
        person = office.people.by_code(CODE)
    except NotFound:
        fields = {"personnel_code": CODE, "first_name": "Barack", "last_name": "Obama"}
        person = office.people.create(fields, actor=ACTOR)
    office.enrollment.enroll(person.id, asset_store(settings).read(PHOTO), ACTOR)
