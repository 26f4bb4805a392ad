"""Cards as Wiegand bits: their formats, readers on two pins, and the gate as such a reader."""
