"""Error rates of recognition and liveness on recordings, and replay of clips."""
