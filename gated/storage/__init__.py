"""What outlives a restart: database, journal, sealed files. Rows never leave this package."""
