"""Delivers events to other programs: from a position in the journal, in order, at least once."""
