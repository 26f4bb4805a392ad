"""Web hooks: events of the journal, sent to other programs over HTTP."""
