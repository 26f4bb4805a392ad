"""OSDP v2.2 with its secure channel: readers, relays, and the gate as a reader of another panel."""
