"""Cameras, doors and the clock: one adapter per kind, fakes included."""
