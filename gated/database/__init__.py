"""The database: engine, tables, records, migrations, and rows that several rooms share."""
