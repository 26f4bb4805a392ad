"""Delivers events to a log collector, by syslog over TLS."""
