"""The HTTP API: schema in, one service call, schema out."""
