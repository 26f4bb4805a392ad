"""Privacy of persons: consent, retention, erasure done again, a copy of everything."""
