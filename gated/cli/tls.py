"""gated tls: certificates."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from gated.cli.common import config_option, settings_of


@click.group()
def tls() -> None:
    """Certificates for the API.

    \b
    Example: gated tls self-signed
    """


@tls.command("self-signed")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True)
@click.option("--replace", is_flag=True, help="Put it in the place of one that is there.")
@config_option
def self_signed(names: tuple[str, ...], days: int, replace: bool, config: Path | None) -> None:
    """Make a certificate for host names and addresses (default: this host and localhost).

    Browsers warn of it until they are told to trust it: compare the fingerprint.

    \b
    Example: gated tls self-signed north-gate.local 192.168.1.20
    """
    from gated.services import certificates

    wanted = names or (socket.gethostname(), "localhost", "127.0.0.1", "::1")
    folder = settings_of(config).storage.state_dir / "keys"
    made = certificates.self_signed(folder, wanted, days, replace=replace)
    click.echo(f"for {', '.join(wanted)}, valid for {days} days")
    click.echo(f"SHA-256 fingerprint {made.fingerprint}")
    click.echo("write this into gate.yaml and start the gate again:")
    click.echo(f"api: {{tls_certificate: {made.certificate}, tls_key: {made.key}}}")
