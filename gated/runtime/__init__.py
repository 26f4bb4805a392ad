"""The threads of the door process; all of them are defined here."""
