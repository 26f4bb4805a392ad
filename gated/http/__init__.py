"""Parts for every route: callers, problem details, paging, entity tags, streams, body types."""
