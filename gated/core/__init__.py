"""The pure part of gated: values, tracking, evidence, policy, door. No clock, thread or I/O."""
