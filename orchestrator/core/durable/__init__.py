"""Records, journal and snapshot of a durable run, as plain data."""
