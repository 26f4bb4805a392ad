"""Gates and their hub."""
