"""Passkeys of local accounts: registered, listed, removed, and signed in with (WebAuthn)."""
