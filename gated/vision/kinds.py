"""Recognise files that are not photos, to name their kind and advise what to do instead."""

from __future__ import annotations

from typing import NamedTuple

_AS_JPEG = "Open it and save or export it as JPEG."
_PHONE = (
    "Export it as JPEG; on an iPhone choose Settings, Camera, Formats, Most Compatible, and it "
    "takes JPEG from then on."
)
_TAKE_OUT = "Save the photo in it as a JPEG file of its own."

_BRANDS = {
    **dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"), "HEIC"),
    **dict.fromkeys(("mif1", "msf1", "mif2"), "HEIC"),
    **dict.fromkeys(("avif", "avis"), "AVIF"),
    "crx ": "camera raw (CR3)",
    "jxl ": "JPEG XL",
    "jp2 ": "JPEG 2000",
}
"""Brand of an ISO base media file (ISO/IEC 14496-12) -> format; any other is a video."""

_BEGINNINGS = (
    (b"GIF87a", "GIF file", _AS_JPEG),
    (b"GIF89a", "GIF file", _AS_JPEG),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL file", _AS_JPEG),
    (b"\xff\x0a", "JPEG XL file", _AS_JPEG),
    (b"\0\0\0\x0cjP  ", "JPEG 2000 file", _AS_JPEG),
    (b"\xff\x4f\xff\x51", "JPEG 2000 file", _AS_JPEG),
    (b"8BPS", "Photoshop file", _AS_JPEG),
    (b"\0\0\1\0", "icon (ICO)", _AS_JPEG),
    (b"\0\0\2\0", "cursor (CUR)", _AS_JPEG),
    (b"qoif", "QOI file", _AS_JPEG),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)", _AS_JPEG),
    (b"IIRO", "camera raw (ORF)", _AS_JPEG),
    (b"IIU\0", "camera raw (RW2)", _AS_JPEG),
    (b"%!PS", "PostScript file", _AS_JPEG),
    (b"{\\rtf", "RTF document", _TAKE_OUT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document of an older Office", _TAKE_OUT),
    (b"PK\3\4", "ZIP archive or Office document", _TAKE_OUT),
    (b"Rar!\x1a\x07", "RAR archive", "Unpack it first."),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archive", "Unpack it first."),
    (b"\x1f\x8b", "gzip archive", "Unpack it first."),
    (b"\0\5\x16\7", "resource file of a Mac", "Send the photo that lies beside it."),
    (b"\x1aE\xdf\xa3", "video", "Save one frame of it as JPEG."),
)
_PORTABLE = tuple(b"P%d" % n for n in range(1, 8))


class FileKind(NamedTuple):
    """The kind of a file, to follow `It is a` or `It is an`, and advice in whole sentences."""

    name: str
    advice: str

    def __str__(self) -> str:
        is_vowel = self.name[0] in "AEIOaeio" or self.name.startswith(("RTF", "SVG"))
        return f"{'an' if is_vowel else 'a'} {self.name}"


def kind_of(data: bytes) -> FileKind | None:
    """Recognise a file by its first bytes, whatever its name.

    None for an unknown kind, and for the formats that can be enrolled.
    """
    head = data[:1024]
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, 48, 4))]
        found = next((_BRANDS[b] for b in map(_text, brands) if b in _BRANDS), None)
        if found is None:
            return FileKind("video", "Save one frame of it as JPEG.")
        return FileKind(f"{found} file", _PHONE if found == "HEIC" else _AS_JPEG)
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return FileKind("WebP file", _AS_JPEG)
        return FileKind("sound or video", "Save one frame of it as JPEG.")
    for beginning, name, advice in _BEGINNINGS:
        if head.startswith(beginning):
            return FileKind(name, advice)
    if b"%PDF-" in head:
        return FileKind("PDF file", _TAKE_OUT)
    if head.startswith(_PORTABLE) and head[2:3].isspace():
        return FileKind("PNM file", _AS_JPEG)
    return _written(head)


def _written(head: bytes) -> FileKind | None:
    """Pictures and pages that are text."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return FileKind("web page", "Save the picture itself, not the page that shows it.")
    if text.startswith((b"<svg", b"<?xml", b"<!--")) and b"<svg" in text:
        return FileKind("SVG drawing", _AS_JPEG)
    return None


def _text(brand: bytes) -> str:
    return brand.decode("latin-1")
