"""Debian's slapd as a directory with people, and one that lies."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.authority import Authority

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/libexec:/usr/bin")
SCHEMAS = Path("/etc/ldap/schema")
BASE = "ou=people,dc=works,dc=example"
READER, PASSWORD = "cn=reader,dc=works,dc=example", "of-the-reader-9"

CONFIG = """
{schemas}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSVerifyClient never
sizelimit size.soft=50 size.hard=50 size.prtotal=unlimited
database mdb
maxsize 104857600
suffix "dc=works,dc=example"
directory {folder}/data
rootdn "{reader}"
rootpw {password}
access to * by * none
"""

TOP = """dn: dc=works,dc=example
objectClass: dcObject
objectClass: organization
dc: works
o: Works

dn: ou=people,dc=works,dc=example
objectClass: organizationalUnit
ou: people
"""


def ldif(people: Sequence[Mapping[str, str | bytes]]) -> str:
    """People as slapadd takes them; each is named by `cn`."""
    return "\n".join(_entry(one) for one in people)


def _entry(person: Mapping[str, str | bytes]) -> str:
    lines = [f"dn: cn={person['cn']!s},{BASE}", "objectClass: inetOrgPerson"]
    for name, value in {"sn": "-", **person}.items():
        plain = value if isinstance(value, bytes) else value.encode()
        lines.append(f"{name}:: {base64.b64encode(plain).decode()}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class LdapDirectory:
    """A directory that runs. ca_file: of who has signed its certificate."""

    url: str
    ca_file: Path


@contextmanager
def slapd(folder: Path, people: Sequence[Mapping[str, str | bytes]]) -> Iterator[LdapDirectory]:
    """The directory serves while the block does; the test skips where there is no slapd."""
    if SLAPD is None or not SCHEMAS.is_dir():
        pytest.skip("slapd is not installed (Debian's package slapd)")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    authority = Authority(folder)
    certificate, key = authority.issue("directory")
    schemas = "\n".join(
        f"include {SCHEMAS}/{s}.schema" for s in ("core", "cosine", "inetorgperson")
    )
    config = folder / "slapd.conf"
    config.write_text(
        CONFIG.format(
            schemas=schemas, folder=folder, certificate=certificate, key=key, reader=READER,
            password=PASSWORD,
        )
    )  # fmt: skip
    entries = folder / "people.ldif"
    entries.write_text(f"{TOP}\n{ldif(people)}")
    adding = [SLAPD, "-T", "add", "-f", str(config), "-l", str(entries)]
    subprocess.run(adding, check=True, capture_output=True, timeout=120)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    url = f"ldaps://127.0.0.1:{port}"
    command = [SLAPD, "-h", url, "-f", str(config), "-d", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield LdapDirectory(url, authority.ca_file)
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the directory has ended"
        assert time.monotonic() < ends, "the directory does not come up"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


@contextmanager
def liar(*answers: bytes, ends: bool = True, every_s: float | None = None) -> Iterator[str]:
    """Something at a port of this machine that answers each request with the next bytes.

    ends: it closes the connection when it has no more. every_s: after the second request it sends
    the rest unasked, so many seconds apart. Gives its address.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    for number, answer in enumerate(answers):
                        if every_s is None or number < 2:
                            connection.recv(65536)
                        else:
                            time.sleep(every_s)
                        connection.sendall(answer)
                    if not ends:
                        connection.recv(1)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"ldap://127.0.0.1:{server.getsockname()[1]}"
