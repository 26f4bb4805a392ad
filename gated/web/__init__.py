"""The web application put together: routers of all rooms, middleware, server, documentation."""
