from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import SealError, StorageError
from gated.vault.sealing import (
    Keys,
    Sealer,
    _make,
    is_elsewhere,
    load_keys,
    sealing_key,
    write_key,
)

KEY = bytes(range(32))
SEALER = Sealer(KEY)


def _opens(keys: Keys, key: bytes) -> bool:
    return keys.sealer.unseal(Sealer(key).seal(b"x", "c"), "c") == b"x"


@given(st.binary(max_size=200), st.text())
def test_what_was_sealed_comes_back(plain: bytes, context: str) -> None:
    assert SEALER.unseal(SEALER.seal(plain, "c" + repr(context)), "c" + repr(context)) == plain


@given(st.binary(min_size=1, max_size=50), st.data())
def test_one_flipped_bit_is_found(plain: bytes, data: st.DataObject) -> None:
    blob = bytearray(SEALER.seal(plain, "c"))
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        SEALER.unseal(bytes(blob), "c")


@given(st.integers(0, 40))
def test_a_cut_blob_is_found(length: int) -> None:
    with pytest.raises(SealError):
        SEALER.unseal(SEALER.seal(b"0123456789abcdef", "c")[:length], "c")


def test_another_key_or_another_place_is_found() -> None:
    blob = SEALER.seal(b"x", "images/a")
    with pytest.raises(SealError, match="another key"):
        Sealer(bytes(32)).unseal(blob, "images/a")
    with pytest.raises(SealError, match="images/b"):
        SEALER.unseal(blob, "images/b")


def test_no_two_blobs_are_alike_and_none_shows_its_content() -> None:
    blobs = {SEALER.seal(b"secret face", "c") for _ in range(50)}
    assert len(blobs) == 50
    assert len({b[:13] for b in blobs}) == 50
    assert not any(b"secret" in b for b in blobs)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")


# --- where keys come from ---


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    first, second = (load_keys(tmp_path, environ={}) for _ in range(2))
    assert second.sealer.unseal(first.sealer.seal(b"x", "c"), "c") == b"x"
    assert first.signer.private_bytes_raw() == second.signer.private_bytes_raw()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    made = sorted((tmp_path / "keys").iterdir())
    assert [p.name for p in made] == ["journal.key", "seal.key"]
    assert [p.stat().st_mode & 0o777 for p in made] == [0o600, 0o600]


def test_of_many_who_make_keys_together_one_wins(tmp_path: Path) -> None:
    for n in range(10):
        start = threading.Barrier(8)

        def load(state: Path = tmp_path / str(n), start: threading.Barrier = start) -> bytes:
            start.wait()
            return load_keys(state, environ={}).signer.private_bytes_raw()

        with ThreadPoolExecutor(8) as pool:
            assert len({f.result() for f in [pool.submit(load) for _ in range(8)]}) == 1
        assert len(list((tmp_path / str(n) / "keys").iterdir())) == 2


def test_a_maker_who_comes_late_keeps_the_key_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.key"
    _make(path)
    key = path.read_bytes()
    _make(path)
    assert path.read_bytes() == key
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex().encode() + b"\n",
        base64.b64encode(KEY) + b"\n",
        base64.urlsafe_b64encode(KEY),
        KEY,
    ],
)
def test_spellings_of_a_key_file(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "my.key"
    path.write_bytes(text)
    path.chmod(0o600)
    assert _opens(load_keys(tmp_path, path, {}), KEY)


def test_the_credential_comes_first_then_the_environment(tmp_path: Path) -> None:
    file, variable, credential = (bytes([n]) * 32 for n in (65, 66, 67))
    path = tmp_path / "my.key"
    path.write_bytes(file)
    path.chmod(0o600)
    given_by_systemd = tmp_path / "credentials" / "gated.seal.key"
    given_by_systemd.parent.mkdir()
    given_by_systemd.write_text(credential.hex())
    environ = {"GATED_SEAL_KEY": variable.hex()}
    assert _opens(load_keys(tmp_path, path, {}), file)
    assert _opens(load_keys(tmp_path, path, environ), variable)
    environ["CREDENTIALS_DIRECTORY"] = str(given_by_systemd.parent)
    assert _opens(load_keys(tmp_path, path, environ), credential)
    assert not (tmp_path / "keys" / "seal.key").exists()


def test_a_key_that_was_kept_elsewhere_is_missed_and_no_new_one_is_made(tmp_path: Path) -> None:
    environ = {"GATED_SEAL_KEY": KEY.hex()}
    load_keys(tmp_path, environ=environ)
    for find in (load_keys, sealing_key):
        with pytest.raises(StorageError, match="was not given"):
            find(tmp_path, environ={})
    assert not (tmp_path / "keys" / "seal.key").exists()
    assert _opens(load_keys(tmp_path, environ=environ), KEY)


def test_a_key_that_is_put_back_into_its_file_is_used(tmp_path: Path) -> None:
    load_keys(tmp_path, environ={"GATED_SEAL_KEY": KEY.hex()})
    write_key(tmp_path / "keys" / "seal.key", KEY)
    assert _opens(load_keys(tmp_path, environ={}), KEY)
    assert not is_elsewhere(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_keys(tmp_path, environ={})
    (tmp_path / "keys" / "journal.key").chmod(mode)
    with pytest.raises(StorageError, match="chmod 600"):
        load_keys(tmp_path, environ={})


@pytest.mark.parametrize("text", [b"", b"too short", b"z" * 64, b"=" * 44])
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "my.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(StorageError, match=r"my\.key is no key") as caught:
        load_keys(tmp_path, path, {})
    assert not text or text.decode() not in str(caught.value)


def test_a_named_key_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load_keys(tmp_path, tmp_path / "stick" / "my.key", {})
    assert not (tmp_path / "stick").exists()


def test_a_damaged_key_is_not_replaced(tmp_path: Path) -> None:
    """A new key would make every sealed file unreadable without a word."""
    load_keys(tmp_path, environ={})
    (tmp_path / "keys" / "seal.key").write_bytes(b"")
    with pytest.raises(StorageError, match="no key"):
        load_keys(tmp_path, environ={})
