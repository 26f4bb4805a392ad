"""Forms with a photo: read after the caller is known, within bounds, and never onto the disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from gated.enrollment.dependencies import Services
from gated.enrollment.jobs import Start
from gated.http.answers import answers
from gated.http.callers import Operator
from gated.http.schemas import In

READ_WITHIN_S = 30.0
READ_ARCHIVE_WITHIN_S = 300.0
MAX_PHOTOS = 5000
MAX_SEVERAL = 10
PHOTOS = "photos"
MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
IMPORT = "import"
"""The kind of the job that an import is."""

UPLOADING = (400, 408, 413, 415, 422)
"""The statuses with which reading a form can end."""

T = TypeVar("T", bound=In)


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that came in: its fields, the content of the part `file` if any, and of `photos`.

    photos: (name that the client gave, content).
    """

    fields: Mapping[str, Any]
    photo: bytes | None
    photos: Sequence[tuple[str, bytes]] = ()

    def into(self, form: type[T]) -> T:
        """Return the fields as a form. Raises: RequestValidationError."""
        try:
            return form.model_validate(self.fields)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            raise RequestValidationError(
                [{**p, "loc": ("body", *p["loc"])} for p in problems]
            ) from None

    def required_photos(self) -> Sequence[tuple[str, bytes]]:
        """Return the photos. Raises: RequestValidationError for none, or too many at once."""
        if not self.photos:
            raise _invalid(PHOTOS, "missing", "Field required")
        if len(self.photos) > MAX_SEVERAL:
            raise _invalid(PHOTOS, "too_long", f"At most {MAX_SEVERAL}; import more as a job")
        return self.photos

    def required_photo(self) -> bytes:
        """Return the photo. Raises: RequestValidationError when there was none."""
        if self.photo is None:
            raise _invalid("file", "missing", "Field required")
        return self.photo


@answers(*UPLOADING)
async def _upload(
    request: Request, _operator: Operator, services: Services
) -> AsyncIterator[Upload]:
    """Read the body of an operator's request; it keeps a place in the queue until the answer."""
    with services.enrollment_queue.slot():
        yield await _in_time(_read(request))


@answers(*UPLOADING)
async def _several(
    request: Request, _operator: Operator, services: Services
) -> AsyncIterator[Upload]:
    """Read a body as `_upload` does, with several photos."""
    with services.enrollment_queue.slot():
        yield await _in_time(_read(request, MAX_SEVERAL))


async def _in_time(reading: Coroutine[Any, Any, Upload], within_s: float = READ_WITHIN_S) -> Upload:
    try:
        return await asyncio.wait_for(reading, within_s)
    except TimeoutError:
        raise HTTPException(408, "the body did not arrive in time") from None


Uploaded = Annotated[Upload, Depends(_upload)]
SeveralUploaded = Annotated[Upload, Depends(_several)]


@dataclass(frozen=True, slots=True)
class ImportUpload:
    """An archive, and the right to start its job."""

    upload: Upload
    start: Start


@answers(*UPLOADING)
async def _import(
    request: Request, operator: Operator, services: Services
) -> AsyncIterator[ImportUpload]:
    """Read the body of a request that begins an import; nobody else begins one meanwhile."""
    with services.jobs.reserved(IMPORT, operator.username) as start:
        upload = await _in_time(_read(request, MAX_PHOTOS), READ_ARCHIVE_WITHIN_S)
        yield ImportUpload(upload, start)


ImportUploaded = Annotated[ImportUpload, Depends(_import)]


def described(
    form: type[In],
    *,
    photo_required: bool,
    what: str = "JPEG, PNG, BMP or TIFF",
    beside: str | None = None,
    several: str | None = None,
) -> dict[str, Any]:
    """Describe for OpenAPI the body that a route reads through `Uploaded`.

    beside: what the files are that may come in any number besides; several: what they are when they
    come instead of the one.
    """
    schema = form.model_json_schema()
    photo = {"type": "string", "format": "binary", "description": what}
    many = {"type": "array", "items": {"type": "string", "format": "binary"}}
    files = {} if several else {"file": photo}
    more = {PHOTOS: {**many, "description": beside or several}} if beside or several else {}
    needed = [PHOTOS] if several else ["file"] if photo_required else []
    multipart = {
        **schema,
        "properties": {**schema.get("properties", {}), **files, **more},
        "required": [*schema.get("required", []), *needed],
    }
    content = {"multipart/form-data": {"schema": multipart}}
    if not needed:
        content["application/json"] = {"schema": schema}
    return {"requestBody": {"required": True, "content": content}}


class _InMemory(MultiPartParser):
    """Keeps files in memory: the body is bounded, and a photo must not reach a temporary file."""

    spool_max_size = 1 << 30


async def _read(request: Request, photos: int = 0) -> Upload:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(request, photos)
    if kind == "application/json":
        return Upload(_object(await request.body()), None)
    raise HTTPException(415, "send multipart/form-data")


async def _form(request: Request, photos: int) -> Upload:
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=1 + photos,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError, LookupError) as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from None
    try:
        return await _sorted(form.multi_items(), photos)
    finally:
        await form.close()


async def _sorted(items: list[tuple[str, UploadFile | str]], photos: int) -> Upload:
    """Sort the parts of a form; the names that files bring with them are never used as paths."""
    beside = [value for name, value in items if photos and name == PHOTOS]
    parts = dict(items)
    if len(parts) < len(items) - max(0, len(beside) - 1):
        raise _invalid("", "repeated", "A field is there twice")
    if beside:
        del parts[PHOTOS]
    file = parts.pop("file", None)
    if isinstance(file, str):
        raise _invalid("file", "no_file", "Must be a file: give it a file name")
    for name, value in parts.items():
        if not isinstance(value, str):
            raise _invalid(name, "no_text", "Must be text, not a file")
    sent = [(f.filename or "", await f.read()) for f in beside if not isinstance(f, str)]
    if len(sent) < len(beside):
        raise _invalid(PHOTOS, "no_file", "Must be files: give them file names")
    return Upload(parts, None if file is None else await file.read(), sent)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON") from None
    if not isinstance(value, dict):
        raise RequestValidationError([{"loc": ("body",), "type": "dict_type", "msg": "No object"}])
    return value


def _invalid(field: str, code: str, text: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", field), "type": code, "msg": text}])
