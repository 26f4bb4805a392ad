"""The web pages: static files that use the API like everybody else."""
