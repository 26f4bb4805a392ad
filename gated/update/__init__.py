"""Updates of an installed package that undo themselves when the new version is not well."""
