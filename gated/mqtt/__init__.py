"""MQTT and Home Assistant: publishes state and events of the gate, and takes commands."""
