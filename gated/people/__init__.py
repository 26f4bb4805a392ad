"""Persons and groups, and who may change them."""
