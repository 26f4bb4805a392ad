"""The page `docs/codes.md`, made of the table in the program: python -m tests.http.codes_page"""

from __future__ import annotations

from pathlib import Path

from gated.http.codes import CODES

FILE = Path(__file__).parents[2] / "docs" / "codes.md"

HEAD = """# Codes of problems

Every error of the API is `application/problem+json` (RFC 9457):
`{type, title, status, code, detail, errors?}`. Decide by `code`, which stays; `title` and `detail`
are for people and may change. `GET /api/codes` tells the same table to clients.
`python -m tests.http.codes_page` writes this page.

- `errors` of `invalid` have `at` (such as `body.email` or `query.limit`), `detail`, and as `code`
  the rule of pydantic (`missing`, `string_too_long`, `greater_than_equal` and others). For words
  in another language they have the rule by a name of ours (`needed`, `longest`, `at_least` and
  others) and its `limit`, if it has one. What was sent is never repeated.
- `duplicate_face` has `person_id`; refusals of photos have `measured`; `clock_skew` has the hub's
  time, `now`.
- 429 and 503 `busy` have `Retry-After`; 401 has `WWW-Authenticate`; 405 has `Allow`.

| code | status | what it means | what to do |
|---|---|---|---|
"""


def page() -> str:
    """Return the page as it has to be."""
    lines = [
        f"| `{c.code}` | {' '.join(map(str, c.statuses))} | {c.means} | {c.remedy} |\n"
        for c in CODES.values()
    ]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
