"""Every error as RFC 9457 problem details: {type, title, status, code, detail, errors?}."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gated import errors
from gated.core.plain_words import broken
from gated.http.headers import HEADER

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[errors.GatedError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.ChangedMeanwhile: HTTPStatus.PRECONDITION_FAILED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NoPicture: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.PictureTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.EnrollmentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SettingsRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CardRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.WeakPassword: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TextRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownParameter: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RuleMisfit: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SourceError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Throttled: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotSignedIn: HTTPStatus.UNAUTHORIZED,
    errors.StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.AssetError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeviceError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ProviderFailed: HTTPStatus.BAD_GATEWAY,
    errors.GateUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Looked up along the exception's bases; anything else is a 500."""

MOST_PROBLEMS = 20
"""Named in one answer."""

CODES: Mapping[int, str] = {
    400: "malformed",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    421: "wrong_host",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}


class Problem(JSONResponse):
    """One problem, as a response."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        detail: str,
        code: str | None = None,
        problems: Sequence[Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        content = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code or CODES.get(status, "error"),
            "detail": detail,
            **({"errors": list(problems)} if problems else {}),
            **more,
        }
        self.content = content
        super().__init__(content, status, headers)


def install(app: FastAPI) -> None:
    """Answer every exception of `app` with a Problem."""
    app.add_exception_handler(errors.GatedError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def internal_error() -> Problem:
    """The answer to a mistake of ours; the log has the rest under the request's id."""
    return Problem(500, "something went wrong here; the log says what")


def _ours(request: Request, error: Exception) -> Problem:
    assert isinstance(error, errors.GatedError)  # noqa: S101
    return answer_to(request, error)


def answer_to(request: Request, error: errors.GatedError) -> Problem:
    """The answer to a request that ended with one of our errors, signed where a gate acts on it."""
    answer = problem_of(error)
    if isinstance(error, errors.Revoked):
        # it must know that it is its hub who says so
        _, _, asked = request.headers.get(HEADER, "").partition(".")
        fleet = request.app.state.services.fleet
        answer.headers[HEADER] = fleet.signed(asked, answer.status_code, bytes(answer.body))
    return answer


def problem_of(error: errors.GatedError) -> Problem:
    """Return the problem details for one of our errors."""
    status = next((STATUS[c] for c in type(error).__mro__ if c in STATUS), None)
    if status is None:
        log.error("unexpected error", exc_info=error)
        return internal_error()
    match error:
        case errors.EnrollmentRefused():
            return Problem(status, error.advice, error.reason, measured=error.measured)
        case errors.DuplicateFace():
            return Problem(status, str(error), error.code, person_id=error.person_id)
        case errors.AssetError():
            log.error("models: %s", error)
            return Problem(status, "the models are missing: run `gated assets install`", error.code)
        case errors.Throttled() | errors.Busy() | errors.TooMany():
            wait = {"Retry-After": str(max(1, round(error.retry_after + 0.5)))}
            return Problem(status, str(error), error.code, headers=wait)
        case errors.ClockSkew():
            bearer = {"WWW-Authenticate": "Bearer"}
            return Problem(status, str(error), error.code, headers=bearer, now=error.now)
        case errors.NotSignedIn():
            return Problem(status, str(error), error.code, headers={"WWW-Authenticate": "Bearer"})
        case errors.SourceError():
            return Problem(status, str(error), problems=_places_of(error))
        case errors.StorageError():
            log.error("storage: %s", error)
            return Problem(status, "the gate cannot use its storage now", error.code)
    return Problem(status, str(error), error.code, _places_of(error))


def _places_of(error: errors.GatedError) -> list[dict[str, str]]:
    """Return the places of the request that are wrong, as far as the error knows them."""
    match error:
        case errors.SettingsRefused():
            wrong = dict(error.problems)
        case errors.UnknownParameter():
            unknown = error.problems.items()
            wrong = {f"query.{name}": errors.Broken(None, None, why) for name, why in unknown}
        case errors.GatedError(rule=str()):
            wrong = {error.at: errors.Broken(error.rule, error.limit, str(error))}
        case _:
            return []
    return [_named(at, error.code, why) for at, why in wrong.items()]


def _named(at: str, code: str, why: errors.Broken) -> dict[str, str]:
    """One value that does not fit: rule and limit are for whoever has words of their own."""
    named = {"rule": why.rule, "limit": why.limit}
    return {
        "at": _printable(at),
        "code": code,
        "detail": why.detail,
        **{name: value for name, value in named.items() if value is not None},
    }


def _invalid(_request: Request, error: Exception) -> Problem:
    """Names the places and the rules, never the values: they may be secrets."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [_place(e) for e in list(error.errors())[:MOST_PROBLEMS]]
    said = "; ".join(f"{p['at']}: {p['detail']}" for p in problems[:3])
    return Problem(422, said or "the request is not valid", problems=problems)


def _place(e: Mapping[str, Any]) -> dict[str, str]:
    found = broken(e["type"], e["msg"], e.get("ctx") or {})
    return _named(".".join(map(str, e["loc"])), e["type"], found)


def _printable(text: str) -> str:
    """The text without what is no character: a key of a body may hold half of a pair."""
    return text.encode("utf-8", "backslashreplace").decode()


def _http(_request: Request, error: Exception) -> Problem:
    assert isinstance(error, HTTPException)  # noqa: S101
    return Problem(error.status_code, str(error.detail), headers=error.headers)


_TEXT = {"type": "string"}
_SAID = ("type", "title", "code", "detail")
SCHEMAS: Mapping[str, Any] = {
    "Problem": {
        "title": "Problem",
        "description": "What went wrong; decide by `code`, which GET /api/codes explains.",
        "type": "object",
        "required": [*_SAID, "status"],
        "properties": {
            **dict.fromkeys(_SAID, _TEXT),
            "status": {"type": "integer"},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ProblemPlace"}},
        },
        "examples": [
            {
                "type": "about:blank",
                "title": "Conflict",
                "status": 409,
                "code": "personnel_code_taken",
                "detail": "personnel code E17 already belongs to person 3",
            }
        ],
    },
    "ProblemPlace": {
        "title": "ProblemPlace",
        "description": "One place of a request, such as `body.email`, and what is wrong there.",
        "type": "object",
        "properties": dict.fromkeys(("at", "code", "detail", "rule", "limit"), _TEXT),
    },
}
"""Parts of the description other than the bodies of routes."""

_REFERENCE = {"$ref": "#/components/schemas/Problem"}


def _documented(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route documents for these statuses."""
    return {status: _documented(HTTPStatus(status).phrase) for status in statuses}
