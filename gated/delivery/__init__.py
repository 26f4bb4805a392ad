"""Delivers what happens here to other programs: from the journal's position, in order, for days."""
