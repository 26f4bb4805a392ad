"""Kinds of things that travel from a hub to its gates, besides persons."""
