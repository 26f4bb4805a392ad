"""Certificates that the gate signs itself."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from gated.accounts.certificates import self_signed
from gated.config import ApiSettings
from gated.errors import Conflict, StorageError
from gated.web.server import ApiServer
from tests.fixtures.server import serving
from tests.web.test_server import hello


def test_a_client_that_trusts_it_gets_through(tmp_path: Path) -> None:
    import ssl

    made = self_signed(tmp_path / "keys", ["localhost", "127.0.0.1"], 30, replace=False)
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    trust = ssl.create_default_context(cafile=str(made.certificate))
    settings = ApiSettings(port=0, tls_certificate=made.certificate, tls_key=made.key)
    with serving(ApiServer(hello(), settings)) as address:
        assert httpx.get(address, verify=trust, trust_env=False, timeout=60).json() == "hello"
        with pytest.raises(httpx.ConnectError):
            httpx.get(address, trust_env=False, timeout=60)


def test_names_and_addresses_stand_in_it(tmp_path: Path) -> None:
    made = self_signed(tmp_path, ["gate.local", "bücher.example", "::1"], 30, replace=False)
    read = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gate.local", "xn--bcher-kva.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["::1"]
    assert (read.not_valid_after_utc - read.not_valid_before_utc).days == 31


def test_one_that_is_there_is_replaced_on_demand_only(tmp_path: Path) -> None:
    first = self_signed(tmp_path, ["a"], 30, replace=False)
    with pytest.raises(Conflict, match="--replace"):
        self_signed(tmp_path, ["a"], 30, replace=False)
    assert self_signed(tmp_path, ["a"], 30, replace=True).fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["a" * 64 + ".b", ".", "a..b"])
def test_what_is_no_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(Conflict, match="neither"):
        self_signed(tmp_path, [name], 30, replace=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        self_signed(tmp_path / "file", ["a"], 30, replace=False)
