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


@tls.command("show")
@config_option
def show(config: Path | None) -> int:
    """Show the fingerprint and the end of the API's certificate; exit code 1 within 30 days of it.

    \b
    Example: gated tls show
    """
    from datetime import UTC, datetime

    from gated.accounts import certificates

    file = settings_of(config).api.tls_certificate
    if file is None:
        click.echo("the API has no certificate (api.tls_certificate)")
        return 1
    click.echo(f"{file}, valid until {certificates.ends(file):%Y-%m-%d %H:%M} UTC")
    click.echo(f"SHA-256 fingerprint {certificates.fingerprint(file)}")
    soon = certificates.expiring(file, datetime.now(UTC))
    if soon:
        click.echo(soon, err=True)
    return int(bool(soon))


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
    from gated.accounts import certificates

    wanted = names or (socket.gethostname(), "localhost", "127.0.0.1", "::1")
    folder = settings_of(config).storage.state_dir / "keys"
    made = certificates.self_signed(folder, wanted, days, replace=replace)
    click.echo(f"for {', '.join(wanted)}, valid for {days} days")
    click.echo(f"SHA-256 fingerprint {made.fingerprint}")
    click.echo("write this into gate.yaml and start the gate again:")
    click.echo(f"api: {{tls_certificate: {made.certificate}, tls_key: {made.key}}}")
