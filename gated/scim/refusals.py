"""Refusals in the words of SCIM, for the program at the other end."""

from __future__ import annotations

from typing import Literal

from gated.errors import Refused

ScimType = Literal[
    "invalidFilter", "invalidPath", "invalidSyntax", "invalidValue", "mutability", "noTarget",
    "tooMany", "uniqueness",
]  # fmt: skip


class ScimRefused(Refused):
    """The request does not fit; `scim_type` is the word of RFC 7644, section 3.12, for why."""

    def __init__(self, scim_type: ScimType, message: str) -> None:
        super().__init__(message)
        self.scim_type = scim_type
