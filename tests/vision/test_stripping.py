"""Pictures that every viewer shows: strange metadata and missing ends do not spoil them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.errors import EnrollmentRefused, NoPicture
from gated.vision.decoding import decode
from gated.vision.kinds import kind_of
from gated.vision.sandbox import decode_apart
from gated.vision.stripping import bare
from tests.vision.test_photo import file_of, picture, rgb_picture

JPEG = file_of(rgb_picture(), "JPEG", quality=95)


def tiff(order: str, *entries: tuple[int, int, int, bytes], more: bytes = b"") -> bytes:
    """A TIFF directory of (tag, type, count, four bytes of value), and what follows it."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    table = b"".join(struct.pack(order + "HHI", *e[:3]) + e[3] for e in entries)
    return (
        mark
        + struct.pack(order + "IH", 8, len(entries))
        + table
        + struct.pack(order + "I", 0)
        + more
    )


def jpeg_with(exif: bytes, stored: PIL.Image.Image | None = None) -> bytes:
    data = file_of(stored or rgb_picture(), "JPEG", quality=95)
    body = b"Exif\0\0" + exif
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png_chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    right = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", right ^ (crc or 0))


def png_with(*chunks: bytes, before: bytes = b"IDAT") -> bytes:
    data = file_of(rgb_picture(), "PNG")
    at = data.index(before) - 4
    return data[:at] + b"".join(chunks) + data[at:]


def alike(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
    return image.shape == (60, 80, 3) and float(np.abs(image.astype(int) - picture()).mean()) < 6


# --- metadata -------------------------------------------------------------------------------------

SIDEWAYS = rgb_picture().transpose(PIL.Image.Transpose.ROTATE_90)
"""Stored as by a phone that was held upright: orientation 6 turns it back."""

SIX = {"<": b"\6\0\0\0", ">": b"\0\6\0\0"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "strange",
    [
        (282, 2, 3, b"72\0\0"),
        (282, 5, 1, b"\xff\xff\xff\xff"),
        (283, 10, 1, b"\x1a\0\0\0"),
        (296, 2, 1, b"x\0\0\0"),
        (34665, 2, 4, b"text"),
        (34665, 4, 1, b"\xff\xff\xff\x7f"),
        (305, 99, 2**31, b"\xff\xff\xff\xff"),
        (273, 12, 9, b"\0\0\0\0"),
    ],
)
def test_wrong_metadata_is_thrown_away_and_the_orientation_believed(
    order: str, strange: tuple[int, int, int, bytes]
) -> None:
    exif = tiff(order, strange, (274, 3, 1, SIX[order]), strange, more=b"\0\0\0\x80\0\0\0\0")
    assert alike(decode(jpeg_with(exif, SIDEWAYS)))


@pytest.mark.parametrize(
    "entry",
    [
        (274, 4, 1, b"\6\0\0\0"),
        (274, 1, 1, b"\6\0\0\0"),
        (274, 2, 2, b"6\0\0\0"),
        (274, 5, 1, b"\x1a\0\0\0"),
    ],
    ids=["long", "byte", "text", "rational"],
)
def test_an_orientation_of_another_type_is_understood(entry: tuple[int, int, int, bytes]) -> None:
    exif = tiff("<", entry, more=struct.pack("<II", 6, 1))
    assert alike(decode(jpeg_with(exif, SIDEWAYS)))


@pytest.mark.parametrize("value", [b"\0\0\0\0", b"\x09\0\0\0", b"\xff\xff\0\0"])
def test_an_orientation_that_there_is_not_turns_nothing(value: bytes) -> None:
    assert alike(decode(jpeg_with(tiff("<", (274, 3, 1, value)))))


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_metadata_spoils_a_picture(junk: bytes, plausible: bool) -> None:
    exif = (b"II*\0\x08\0\0\0" if plausible else b"") + junk
    assert decode(jpeg_with(exif)).size == 60 * 80 * 3
    chunks = [png_chunk(kind, junk) for kind in (b"eXIf", b"zTXt", b"iTXt", b"iCCP", b"tIME")]
    assert decode(png_with(*chunks)).size == 60 * 80 * 3


@given(st.binary(max_size=300), st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"II*\0"]))
def test_stripping_never_fails(junk: bytes, beginning: bytes) -> None:
    assert isinstance(bare(beginning + junk).data, bytes)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"tEXt", b"Comment\0x", crc=1),
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 << 20))),
        png_chunk(b"iTXt", b"Comment\0\1\0\0\0not compressed"),
        png_chunk(b"iCCP", b"broken"),
        png_chunk(b"pHYs", b"\0"),
        png_chunk(b"acTL", b"\0\0\0\0\0\0\0\0") + png_chunk(b"fcTL", b"\0" * 26),
    ],
    ids=["checksum", "large text", "broken text", "profile", "short", "animation"],
)
def test_what_else_is_in_a_png_does_not_count(chunk: bytes) -> None:
    np.testing.assert_array_equal(decode(png_with(chunk)), picture())
    np.testing.assert_array_equal(decode_apart(png_with(chunk, before=b"IEND")), picture())


def test_a_png_says_how_it_was_held() -> None:
    data = file_of(SIDEWAYS, "PNG")
    at = data.index(b"IDAT") - 4
    turned = png_chunk(b"eXIf", tiff(">", (274, 3, 1, SIX[">"])))
    np.testing.assert_array_equal(decode(data[:at] + turned + data[at:]), picture())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_wrong_metadata_of_a_tiff_does_not_count(order: str, compression: str | None) -> None:
    info = PIL.Image.Exif()
    info[270], info[305], info[274] = "a description", "a program", 6
    options = {"compression": compression} if compression else {}
    data = bytearray(
        file_of(SIDEWAYS, "TIFF", exif=info, big_tiff=order == ">", dpi=(72, 72), **options)
    )
    big = data[2] == 43
    at = struct.unpack_from("<Q" if big else "<I", data, 8 if big else 4)[0]
    count = struct.unpack_from("<Q" if big else "<H", data, at)[0]
    for i in range(count):
        entry = at + (8 + 20 * i if big else 2 + 12 * i)
        if struct.unpack_from("<H", data, entry)[0] in (270, 282, 283, 305):
            struct.pack_into("<HI", data, entry + 2, 5, 0xFFFFFFFF)
    np.testing.assert_array_equal(decode(bytes(data)), picture())


def test_colours_survive_without_metadata() -> None:
    """What the Adobe and JFIF segments say of the colours is kept."""
    for mode in ("CMYK", "L", "RGB"):
        data = file_of(rgb_picture().convert(mode), "JPEG", quality=95)
        with PIL.Image.open(io.BytesIO(data)) as plain:
            expected = np.asarray(plain.convert("RGB"))[:, :, ::-1]
        np.testing.assert_array_equal(decode(data), expected)


def test_only_the_first_picture_of_several_in_a_file_counts() -> None:
    other = PIL.Image.new("RGB", (80, 60), "white")
    data = file_of(rgb_picture(), "MPO", save_all=True, append_images=[other])
    assert alike(decode(data))
    assert alike(decode_apart(data))


# --- missing ends ---------------------------------------------------------------------------------


def noise(size: tuple[int, int] = (90, 60)) -> PIL.Image.Image:
    rng = np.random.default_rng(3)
    return PIL.Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_its_end_only_is_whole(progressive: bool) -> None:
    data = file_of(noise(), "JPEG", progressive=progressive)
    expected = decode(data)
    for cut in (1, 2):
        np.testing.assert_array_equal(decode(data[:-cut]), expected)
    np.testing.assert_array_equal(decode_apart(data[:-2]), expected)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restarts", [0, 2])
def test_a_jpeg_is_never_shown_in_part(progressive: bool, restarts: int) -> None:
    data = file_of(noise(), "JPEG", progressive=progressive, restart_marker_blocks=restarts)
    expected = decode(data)
    whole = 0
    for cut in (*range(3, 12), *range(12, len(data), 97)):
        with contextlib.suppress(EnrollmentRefused):
            np.testing.assert_array_equal(decode(data[:-cut]), expected)
            whole += 1
    assert whole <= 1


def test_what_is_cut_off_is_said() -> None:
    with pytest.raises(EnrollmentRefused, match="cut off"):
        decode(file_of(noise(), "JPEG")[:-300])


def test_a_png_that_lacks_its_end_only_is_whole() -> None:
    data = file_of(rgb_picture(), "PNG")
    for cut in (1, 11, 12, 13, 16):
        np.testing.assert_array_equal(decode(data[:-cut]), picture())
    with pytest.raises(EnrollmentRefused):
        decode(data[:-30])


# --- depths and transparency ----------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (16, 65535), (8, 255)])
def test_grey_of_fewer_bits_in_sixteen_is_not_dark(bits: int, white: int) -> None:
    ramp = np.linspace(0, white, 80 * 60).reshape(60, 80).astype(np.uint16)
    image = decode(file_of(PIL.Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(image[:, :, 0], ramp * (255 / white), atol=1.5)


def bmp_with_alpha(alpha: int) -> bytes:
    """A BMP of version 4 with 32 bits a pixel and this alpha everywhere."""
    rgba = np.dstack((picture(), np.full((60, 80), alpha, np.uint8)))[::-1].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 80, 60, 1, 32, 3, len(rgba), 0, 0, 0, 0)
    head += masks + b"BGRs" + bytes(48)
    offset = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", offset + len(rgba), 0, 0, offset) + head + rgba


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_bmp_whose_alpha_nobody_has_filled_in_is_seen(alpha: int) -> None:
    np.testing.assert_array_equal(decode(bmp_with_alpha(alpha)), picture())


# --- other files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC file"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC file"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF file"),
        (b"\0\0\0\x1cftypmsf1\0\0\0\0msf1hevc", "a HEIC file"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ", "a video, and"),
        (b"GIF89a" + bytes(20), "a GIF file"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file"),
        (b"\xff\x0a\0", "a JPEG XL file"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><svg>", "an SVG drawing"),
        (b"PK\3\4word/", "a ZIP archive or Office document"),
        (b"", "is empty"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, named: str) -> None:
    for read in (decode, decode_apart):
        with pytest.raises(NoPicture, match=named) as refusal:
            read(data)
        assert refusal.value.reason == "unreadable_image"


def test_of_an_unknown_file_nothing_is_made_up() -> None:
    assert kind_of(bytes(range(256))) is None
    assert kind_of(JPEG) is None
