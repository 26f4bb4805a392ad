"""The agreement of both sides: states, signatures, cursors, edits, heartbeats."""
