"""Web hooks: what happens here, told to other programs over HTTP, from the journal's position."""
