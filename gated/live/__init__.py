"""The running gate as people see it: health, events, pictures, snapshots, disk space."""
