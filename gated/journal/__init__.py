"""The log in which no change goes unnoticed: append, chain, verify, pruning, redaction."""
