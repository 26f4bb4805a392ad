"""Relay boards of computers without pins: on USB, on a serial bus, on a network."""
