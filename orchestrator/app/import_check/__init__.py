"""import_check: to be described."""
