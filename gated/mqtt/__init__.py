"""MQTT and Home Assistant: how the gate is and what happens, and what may be asked of it."""
