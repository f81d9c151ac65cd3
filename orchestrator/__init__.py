"""mporch: pipelines of operating-system processes from one YAML file."""
