"""gated tls: certificates."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from gated.cli.common import (
    CommandResult,
    config_option,
    json_option,
    reports,
    settings_of,
    show_json,
)


@click.group()
def tls() -> None:
    """Certificates for the API.

    \b
    Example: gated tls self-signed
    """


@tls.command("show")
@json_option
@config_option
def show(as_json: bool, config: Path | None) -> int:
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
    until, digest = certificates.ends(file), certificates.fingerprint(file)
    soon = certificates.expiring(file, datetime.now(UTC))
    if as_json:
        show_json({"certificate": str(file), "until": until, "sha256": digest, "problem": soon})
        return int(bool(soon))
    click.echo(f"{file}, valid until {until:%Y-%m-%d %H:%M} UTC")
    click.echo(f"SHA-256 fingerprint {digest}")
    if soon:
        click.echo(soon, err=True)
    return int(bool(soon))


@tls.command("self-signed")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--days", type=click.IntRange(1, 3650), default=825, show_default=True)
@click.option("--replace", is_flag=True, help="Put it in the place of one that is there.")
@config_option
@reports
def self_signed(
    names: tuple[str, ...], days: int, replace: bool, config: Path | None
) -> CommandResult:
    """Make a certificate for host names and addresses (default: this host and localhost).

    Browsers warn of it until they trust it: compare the fingerprint.

    \b
    Example: gated tls self-signed north-gate.local 192.168.1.20
    """
    from gated.accounts import certificates

    wanted = names or (socket.gethostname(), "localhost", "127.0.0.1", "::1")
    folder = settings_of(config).storage.state_dir / "keys"
    made = certificates.self_signed(folder, wanted, days, replace=replace)
    record = {
        "names": wanted, "days": days, "sha256": made.fingerprint,
        "tls_certificate": str(made.certificate), "tls_key": str(made.key),
    }  # fmt: skip
    lines = (
        f"for {', '.join(wanted)}, valid for {days} days",
        f"SHA-256 fingerprint {made.fingerprint}",
        "write this into gate.yaml and start the gate again:",
        f"api: {{tls_certificate: {made.certificate}, tls_key: {made.key}}}",
    )
    return CommandResult(record, "\n".join(lines))
