"""People read from a directory that speaks LDAP (RFC 4511)."""
