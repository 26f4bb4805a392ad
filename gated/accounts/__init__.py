"""Signing in: accounts, sessions, tokens, throttling, certificates, and the audit of acts."""
