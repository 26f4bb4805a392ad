"""Events of the journal for a collector of logs, by syslog over TLS."""
