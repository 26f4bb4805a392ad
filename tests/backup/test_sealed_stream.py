"""The sealed stream: what goes in comes out, and nothing else does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from gated.backup.sealed_stream import (
    CHUNK,
    MAGIC,
    MOST_MEMORY_KIB,
    TAG,
    Passphrase,
    PrivateKey,
    PublicKey,
    SealedReader,
    SealedWriter,
)
from gated.errors import SealError, SourceError, WeakPassword

KEY = PrivateKey.make()
LOCK = PublicKey.read(KEY.public_text)


def sealed(plain: bytes, lock: PublicKey | Passphrase = LOCK) -> bytes:
    target = io.BytesIO()
    writer = SealedWriter(target, lock)
    for start in range(0, len(plain), 10_000):
        writer.write(plain[start : start + 10_000])
    writer.finish()
    return target.getvalue()


def opened(data: bytes, opener: PrivateKey | Passphrase = KEY) -> bytes:
    return SealedReader(io.BytesIO(data), opener).readall() or b""


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17])
def test_what_goes_in_comes_out(size: int) -> None:
    plain = bytes(i % 251 for i in range(size))
    data = sealed(plain)
    assert opened(data) == plain
    assert plain[:64] not in data or size == 0


def test_a_key_written_down_opens() -> None:
    assert opened(sealed(b"a"), PrivateKey.read(f"{KEY.text}\n")) == b"a"
    with pytest.raises(SealError, match="another key"):
        opened(sealed(b"a"), PrivateKey.make())
    with pytest.raises(SourceError, match="gated-backup-private-"):
        PrivateKey.read(KEY.public_text)


def test_a_passphrase_opens_and_another_one_does_not() -> None:
    data = sealed(b"plain", Passphrase("correct horse battery"))
    assert opened(data, Passphrase("correct horse battery")) == b"plain"
    with pytest.raises(SealError, match="not the passphrase"):
        opened(data, Passphrase("correct horse batterz"))
    with pytest.raises(SealError, match="made with a passphrase"):
        opened(data)
    with pytest.raises(SealError, match="private one"):
        opened(sealed(b"a"), Passphrase("correct horse battery"))
    with pytest.raises(WeakPassword):
        sealed(b"plain", Passphrase("too short"))


BODY = sealed(bytes(3 * CHUNK + 5))
START = BODY.index(b"\n", len(MAGIC)) + 1
PIECE = CHUNK + TAG


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d[:-1],
        lambda d: d[: START + PIECE],
        lambda d: d[: START + 3 * PIECE],
        lambda d: d[:START],
        lambda d: d + b"\0",
        lambda d: d[:START] + d[START + PIECE :],
        lambda d: (
            d[:START]
            + d[START + PIECE : START + 2 * PIECE]
            + d[START : START + PIECE]
            + d[START + 2 * PIECE :]
        ),
        lambda d: d[: START + 9] + bytes([d[START + 9] ^ 1]) + d[START + 10 :],
        lambda d: d[:START].replace(b'"chunk": ', b'"chunk":  ') + d[START:],
    ],
    ids=["byte", "cut", "last", "empty", "more", "left out", "swapped", "bit", "header"],
)
def test_whatever_is_done_to_it_is_noticed(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SealError):
        opened(spoil(BODY))


def test_a_header_cannot_ask_for_all_memory() -> None:
    data = sealed(b"a", Passphrase("correct horse battery"))
    header = json.loads(data[len(MAGIC) :].split(b"\n", 1)[0])
    for asked, words in ((MOST_MEMORY_KIB + 1, "too much memory"), (float("inf"), "damaged")):
        spoilt = json.dumps({**header, "memory_kib": asked}).encode()
        with pytest.raises(SealError, match=words):
            opened(MAGIC + spoilt + b"\n", Passphrase("correct horse battery"))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", MAGIC, MAGIC + b"{}\n", MAGIC + b"[" * 5000])
def test_what_is_no_backup_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises((SourceError, SealError)):
        opened(data)
