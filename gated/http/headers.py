"""Names of headers."""

from __future__ import annotations

HEADER = "X-Gated-Signature"
