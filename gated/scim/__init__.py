"""People and groups from a directory: SCIM 2.0 (RFC 7643, RFC 7644)."""
