"""The gate's side: membership, what comes down, what goes up, edits made offline."""
