"""The composition root: the processes of a gate or hub, and who watches them.

`whole` runs all in one process, as a hub and the tests do. A gate is `door_process`, which nothing
that speaks HTTP is loaded into, and `service_process`.
"""
