"""Packages that their maker has signed, and all others."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.errors import ConfigError, GatedError, Refused, SourceError
from gated.update.package_signature import check_package, read_keys

needs_minisign = pytest.mark.skipif(
    shutil.which("minisign") is None, reason="this machine has no minisign"
)


@dataclass
class Maker:
    """Signs as minisign does."""

    ident: bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    secret: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public(self) -> str:
        raw = self.secret.public_key().public_bytes_raw()
        return base64.b64encode(b"Ed" + self.ident + raw).decode()

    def sign(self, content: bytes, comment: str = "gated 1.4.0", kind: bytes = b"ED") -> str:
        covered = hashlib.blake2b(content).digest() if kind == b"ED" else content
        signed = self.secret.sign(covered)
        sealed = self.secret.sign(signed + comment.encode())
        return (
            "untrusted comment: signature\n"
            f"{base64.b64encode(kind + self.ident + signed).decode()}\n"
            f"trusted comment: {comment}\n{base64.b64encode(sealed).decode()}\n"
        )


@dataclass
class Bench:
    """A package, its signature and the keys of makers, in files."""

    folder: Path
    maker: Maker = field(default_factory=Maker)
    content: bytes = b"a package"

    def __post_init__(self) -> None:
        self.package, self.signature = self.folder / "g.deb", self.folder / "g.deb.minisig"
        self.keys = self.folder / "update.keys"
        self.package.write_bytes(self.content)
        self.signature.write_text(self.maker.sign(self.content))
        self.keys.write_text(f"untrusted comment: ours\n# since 2026\n\n{self.maker.public}\n")

    def check(self) -> str:
        return check_package(self.package, self.signature, read_keys(self.keys)).comment


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_package_of_its_maker_is_taken(bench: Bench) -> None:
    found = check_package(bench.package, bench.signature, read_keys(bench.keys))
    assert found.sha256 == hashlib.sha256(bench.content).hexdigest()
    assert (found.signer, found.comment) == ("807060504030201", "gated 1.4.0")


def test_a_changed_package_is_refused(bench: Bench) -> None:
    bench.package.write_bytes(b"a package.")
    with pytest.raises(Refused, match="not the file that was signed"):
        bench.check()


def test_a_signature_of_somebody_else_is_refused(bench: Bench) -> None:
    other = Maker(ident=b"another!")
    bench.signature.write_text(other.sign(bench.content))
    with pytest.raises(Refused, match="signed with the key"):
        bench.check()


def test_another_key_under_a_known_id_is_refused(bench: Bench) -> None:
    bench.signature.write_text(Maker().sign(bench.content))
    with pytest.raises(Refused, match="not the file that was signed"):
        bench.check()


def test_a_changed_comment_is_refused(bench: Bench) -> None:
    bench.signature.write_text(bench.signature.read_text().replace("1.4.0", "9.9.9"))
    with pytest.raises(Refused, match="comment"):
        bench.check()


def test_a_signature_over_the_file_itself_is_refused_with_what_to_do(bench: Bench) -> None:
    bench.signature.write_text(bench.maker.sign(bench.content, kind=b"Ed"))
    with pytest.raises(Refused, match=r"minisign 0\.10"):
        bench.check()


@pytest.mark.parametrize("cut", range(0, 240, 7))
def test_a_signature_that_is_cut_off_is_refused(bench: Bench, cut: int) -> None:
    bench.signature.write_text(bench.signature.read_text()[:cut])
    with pytest.raises(GatedError):
        bench.check()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\n" * 9, b"x" * 200_000])
def test_what_is_no_signature_is_refused(bench: Bench, content: bytes) -> None:
    bench.signature.write_bytes(content)
    with pytest.raises(SourceError, match="no signature of minisign"):
        bench.check()


def test_a_missing_signature_says_where_it_has_to_lie(bench: Bench) -> None:
    bench.signature.unlink()
    with pytest.raises(SourceError, match="beside the package"):
        bench.check()


def test_no_file_is_no_key(tmp_path: Path) -> None:
    assert read_keys(tmp_path / "none") == {}


@pytest.mark.parametrize("line", ["RWQ", "hello", "RUQ" + "A" * 53, "é"])
def test_a_line_that_is_no_key_is_named(bench: Bench, line: str) -> None:
    bench.keys.write_text(f"{bench.maker.public}\n{line}\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_keys(bench.keys)


def test_keys_that_others_can_change_are_not_believed(bench: Bench) -> None:
    bench.keys.chmod(0o664)
    with pytest.raises(ConfigError, match="changed by others"):
        read_keys(bench.keys)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_keys_of_another_owner_are_not_believed(bench: Bench) -> None:
    os.chown(bench.keys, 65534, 65534)
    with pytest.raises(ConfigError, match="changed by others"):
        read_keys(bench.keys)


def test_a_comment_cannot_write_over_the_terminal(bench: Bench) -> None:
    bench.signature.write_text(bench.maker.sign(bench.content, "\x1b[2Jgated"))
    assert "\x1b" not in bench.check()


@needs_minisign
def test_minisign_signs_what_is_taken_and_what_was_changed_is_not(tmp_path: Path) -> None:
    public, secret, package = tmp_path / "k.pub", tmp_path / "k.sec", tmp_path / "g.deb"
    package.write_bytes(b"a package")
    made: list[str | Path] = ["minisign", "-G", "-W", "-p", public, "-s", secret]
    subprocess.run(made, check=True, capture_output=True)
    signing: list[str | Path] = [
        "minisign",
        "-S",
        "-s",
        secret,
        "-m",
        package,
        "-t",
        "gated 1.4.0 amd64",
    ]
    subprocess.run(signing, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    public.chmod(0o644)
    found = check_package(package, tmp_path / "g.deb.minisig", read_keys(public))
    assert found.comment == "gated 1.4.0 amd64"
    assert found.signer in public.read_text()
    package.write_bytes(b"another package")
    with pytest.raises(Refused):
        check_package(package, tmp_path / "g.deb.minisig", read_keys(public))
