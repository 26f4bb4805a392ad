"""A sealed copy of everything that a gate or hub keeps, and the way back, on any machine."""
