"""Lists as JSON, straight from records: with a model per row most of a list's time went there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from pydantic_core import to_json

JSON = "application/json"


def json_list(
    rows: Sequence[Any], schema: type[BaseModel], headers: dict[str, str] | None = None
) -> Response:
    """All rows as one answer, each with the fields of the schema."""
    return Response(_array(rows, schema), media_type=JSON, headers=headers)


def json_parts(parts: Iterable[Sequence[Any]], schema: type[BaseModel]) -> Iterator[bytes]:
    """One JSON array of the rows of all parts."""
    separator = b"["
    for part in parts:
        if part:
            yield separator + _array(part, schema)[1:-1]
            separator = b","
    yield b"]" if separator == b"," else b"[]"


def _array(rows: Sequence[Any], schema: type[BaseModel]) -> bytes:
    names = tuple(schema.model_fields)
    values = attrgetter(*names)
    return to_json([dict(zip(names, values(row), strict=True)) for row in rows])


def page_headers(
    request: Request, found: int, total: int, limit: int | None, offset: int
) -> dict[str, str]:
    """Return headers with the number in all, and with the next page, if there is one."""
    headers = {"X-Total-Count": str(total)}
    if limit is not None and offset + found < total:
        following = request.url.include_query_params(offset=offset + limit)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return headers
