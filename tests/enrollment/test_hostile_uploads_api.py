"""Uploads that mean harm: each gets the documented code, costs little and leaves nothing behind."""

from __future__ import annotations

import io
import resource
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest

from tests.assets import require_assets
from tests.fixtures.server import Running, running

REFUSED = (422, "unreadable_image")
NO_PICTURE = (415, "unreadable_image")
TOO_LARGE = (413, "unreadable_image")
NO_FACE = (422, "no_face")

MOST_MEMORY = 256 << 20
"""How much more one upload may take: the picture at its largest, several times over."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    require_assets("default", "demo")
    with running(tmp_path_factory.mktemp("state"), roles=("operator",)) as gate:
        with gate.client("operator") as client:
            body = {"first_name": "F", "last_name": "L", "personnel_code": "A"}
            assert client.post("/api/persons", json=body).json()["id"] == 1
            # the models are loaded now: what they take is not the fault of a photo
            assert upload(client, file_of(grey(), "PNG")).status_code == 422
        yield gate


@pytest.fixture(scope="module")
def client(gate: Running) -> Iterator[httpx.Client]:
    with gate.client("operator") as client:
        yield client


def upload(client: httpx.Client, photo: bytes, name: str = "photo.jpg") -> httpx.Response:
    files = {"file": (name, photo, "image/jpeg")}
    return client.post("/api/enrollment", data={"person_id": "1"}, files=files)


def left_behind(gate: Running) -> list[Path]:
    """Every file below the uploads, finished or not."""
    return [p for p in gate.services.settings.storage.uploads.rglob("*") if p.is_file()]


def peak_memory() -> int:
    """The most memory that this process had at a time, in bytes; decoders have their own bound."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- the corpus -------------------------------------------------------------------------------


def grey(width: int = 320, height: int = 240, mode: str = "RGB") -> PIL.Image.Image:
    return PIL.Image.new(mode, (width, height))


def file_of(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(width: int, height: int, *more: bytes, pixels: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", pixels or zlib.compress(b"\0" * 1000))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *more, data, chunk(b"IEND", b"")))


def deflated_zeros(size: int) -> bytes:
    """A thousandth of this size."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join([packer.compress(block) for _ in range(size >> 20)]) + packer.flush()


def tiff_claiming(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 0xFFFFFFF0)]
    entries = b"".join(struct.pack("<HHII", t, kind, 1, v) for t, kind, v in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def tiff_that_names_itself() -> bytes:
    """Its next page is its first one, for ever."""
    whole = bytearray(tiff_claiming(4, 4))
    whole[-4:] = struct.pack("<I", 8)
    return bytes(whole)


def jpeg_with_exif(segments: int) -> bytes:
    plain = file_of(grey(), "JPEG")
    body = b"Exif\0\0" + b"II*\0\x08\0\0\0" + b"\xff" * 65_000
    exif = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return plain[:2] + exif * segments + plain[2:]


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.sh", "#!/bin/sh\n")
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    return file_of(grey(), kind, save_all=True, append_images=[grey(mode="L").convert("RGB")] * 30)


def sixteen_bits() -> bytes:
    ramp = np.linspace(0, 65535, 320 * 240).reshape(240, 320).astype(np.uint16)
    return file_of(PIL.Image.fromarray(ramp), "PNG")


CORPUS: dict[str, tuple[Callable[[], bytes], tuple[int, str]]] = {
    "zero bytes": (lambda: b"", NO_PICTURE),
    "a text": (lambda: b"hello", NO_PICTURE),
    "a script in a picture's name": (lambda: b"<svg onload='alert(1)'/>", NO_PICTURE),
    "an animated GIF": (lambda: animated("GIF"), NO_PICTURE),
    "WebP": (lambda: file_of(grey(), "WEBP"), NO_PICTURE),
    "an archive": (zipped, NO_PICTURE),
    "an archive before a picture": (lambda: zipped() + file_of(grey(), "JPEG"), NO_PICTURE),
    "only the beginning of a JPEG": (lambda: b"\xff\xd8\xff", REFUSED),
    "half a JPEG": (lambda: file_of(grey(), "JPEG")[:700], REFUSED),
    "half a PNG": (lambda: sixteen_bits()[:2000], REFUSED),
    "a BMP of one header": (lambda: file_of(grey(), "BMP")[:54], REFUSED),
    "noise after the magic": (lambda: b"\xff\xd8\xff" + bytes(range(256)) * 99, REFUSED),
    "pixels by claim": (lambda: png(50_000, 50_000), TOO_LARGE),
    "pixels by claim, one line": (lambda: png(2**31 - 1, 1), TOO_LARGE),
    "a TIFF by claim": (lambda: tiff_claiming(60_000, 60_000), TOO_LARGE),
    "a TIFF that names itself": (tiff_that_names_itself, NO_FACE),
    "a quarter of a gigabyte in a comment": (
        lambda: png(64, 64, chunk(b"zTXt", b"a\0\0" + deflated_zeros(1 << 28))),
        REFUSED,
    ),
    "a quarter of a gigabyte in a colour profile": (
        lambda: png(64, 64, chunk(b"iCCP", b"a\0\0" + deflated_zeros(1 << 28))),
        REFUSED,
    ),
    "a quarter of a gigabyte behind the pixels": (
        lambda: png(64, 64, pixels=deflated_zeros(1 << 28)),
        NO_FACE,
    ),
    "as many pixels as may be": (
        lambda: file_of(grey(8000, 5000), "PNG", compress_level=1),
        NO_FACE,
    ),
    "a huge EXIF": (lambda: jpeg_with_exif(140), NO_FACE),
    "an archive behind a picture": (lambda: file_of(grey(), "JPEG") + zipped(), NO_FACE),
    "an animated PNG": (lambda: animated("PNG"), NO_FACE),
    "a TIFF of many pages": (lambda: animated("TIFF"), NO_FACE),
    "sixteen bits": (sixteen_bits, NO_FACE),
    "CMYK": (lambda: file_of(grey(mode="CMYK"), "JPEG"), NO_FACE),
    "one pixel": (lambda: file_of(grey(1, 1), "PNG"), NO_FACE),
    "a hair": (lambda: file_of(grey(20_000, 1), "PNG"), NO_FACE),
}


@pytest.mark.parametrize("what", CORPUS)
def test_each_gets_the_documented_code(
    gate: Running,
    client: httpx.Client,
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, expected = CORPUS[what]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    photo, before = make(), peak_memory()
    answer = upload(client, photo)
    assert peak_memory() - before < MOST_MEMORY
    assert (answer.status_code, answer.json()["code"]) == expected, answer.text
    assert left_behind(gate) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "C:\\x.jpg",
        "x.jpg\0.exe",
        "a" * 3000,
        "..",
        "\u202egpj",
    ],
)
def test_names_of_files_mean_nothing(gate: Running, client: httpx.Client, name: str) -> None:
    answer = upload(client, file_of(grey(64, 64), "PNG"), name)
    assert (answer.status_code, answer.json()["code"]) == NO_FACE, answer.text
    assert left_behind(gate) == []


def test_what_clings_to_a_portrait_is_not_stored(gate: Running, client: httpx.Client) -> None:
    portrait = require_assets("demo").read("obama.jpg")
    exif = b"\xff\xe1" + struct.pack(">H", 36) + b"Exif\0\0<script>alert(1)</script>\0\0\0"
    answer = upload(client, portrait[:2] + exif + portrait[2:] + zipped() + b"<?php evil() ?>")
    assert answer.status_code == 201, answer.text
    here = answer.headers["Location"]
    photo = client.get(f"{here}/image").content
    assert not any(word in photo for word in (b"script", b"PK\x03\x04", b"php", b"Exif"))
    assert client.delete(here).status_code == 204
    assert left_behind(gate) == []
