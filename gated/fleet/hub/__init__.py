"""The hub's side: gates, the feed, collected journals, review of edits, roll-outs."""
