"""Sealed files and the keys that seal and sign."""
