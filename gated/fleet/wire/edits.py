"""An edit of a person, as it travels from a gate to the hub.

head        what is changed, where, by whom, and of which version of the person
content     JSON, sealed for the hub: what the change is
signature   Ed25519 by the operator over head and content: a gate cannot make one by itself, and
            what was signed for one gate counts at no other
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from gated.core.chain import canonical
from gated.core.text import clean_text
from gated.core.values import Vector
from gated.people.schemas import PersonChange

CREATE, CHANGE, ACTIVATE, DEACTIVATE = "create", "change", "activate", "deactivate"
ENROLL, REMOVE, WITHDRAW = "enroll", "remove", "withdraw"

LARGEST_PHOTO = 6 * 1024 * 1024
"""A larger one stays at the gate; its template travels alone."""


@dataclass(frozen=True, slots=True)
class EditHead:
    """Everything of an edit but its content. gate, operator: uids; made_at: RFC 3339."""

    uid: str
    kind: str
    person: str
    base: int
    after: str | None
    gate: str
    operator: str
    made_at: str

    def message(self, content: bytes) -> bytes:
        """Return what the operator signs."""
        return b"gated edit\n" + canonical([asdict(self), hashlib.sha256(content).hexdigest()])

    def digest(self, content: bytes) -> str:
        """Return the SHA-256 (hex) by which the edit is known when it comes again."""
        return hashlib.sha256(self.message(content)).hexdigest()


def sealed_for(uid: str) -> str:
    """Return what the envelope of the content of an edit is bound to."""
    return canonical(["gated edit", uid]).decode()


def _clean_text(value: str) -> str:
    return clean_text(value, "this")


_Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$"),
    AfterValidator(_clean_text),
]
_Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)


class _Created(_Strict):
    fields: PersonChange
    groups: Annotated[list[_Uid], Field(max_length=100)]


class _Changed(_Strict):
    fields: PersonChange


class _Enrolled(_Strict):
    enrollment: _Uid
    model: _Text
    template: Annotated[str, StringConstraints(max_length=64 * 1024)]
    photo: str | None
    confidence: Annotated[float, Field(ge=0, le=1)]
    quality: Annotated[dict[str, float], Field(max_length=64)]
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    replaces: _Uid | None


class _Removed(_Strict):
    enrollment: _Uid


class _Nothing(_Strict):
    pass


_CONTENTS: Mapping[str, type[_Strict]] = {
    CREATE: _Created,
    CHANGE: _Changed,
    ACTIVATE: _Nothing,
    DEACTIVATE: _Nothing,
    ENROLL: _Enrolled,
    REMOVE: _Removed,
    WITHDRAW: _Nothing,
}


def read_content(kind: str, content: bytes) -> dict[str, Any]:
    """The content of an edit of a kind; ValueError when it is none."""
    try:
        said = _CONTENTS[kind].model_validate_json(content)
        read = said.model_dump(exclude_unset=True)
        if kind == ENROLL:
            vector_of(read)
            photo_of(read)
        if kind == CREATE and not read["fields"].keys() >= {"first_name", "personnel_code"}:
            raise ValueError("a person has a name and a code")
    except (KeyError, ValidationError) as error:
        raise ValueError(f"no {kind[:20]}") from error
    return read


def vector_of(content: Mapping[str, Any]) -> Vector:
    """Return the template of an enrollment, (d,) float32; ValueError."""
    vector = np.frombuffer(base64.b64decode(content["template"], validate=True), "<f4")
    vector = vector.astype(np.float32)
    if not len(vector) or not np.isfinite(vector).all() or not np.any(vector):
        raise ValueError("no template")
    return vector


def photo_of(content: Mapping[str, Any]) -> bytes | None:
    """Return the photo of an enrollment. Raises: ValueError."""
    if content["photo"] is None:
        return None
    return base64.b64decode(content["photo"], validate=True)
