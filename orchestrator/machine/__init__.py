"""The machine: what a plan depends on beside its spec, asked in one place."""
