"""The seam between the running gate and those who watch it: status board, frames, events."""
