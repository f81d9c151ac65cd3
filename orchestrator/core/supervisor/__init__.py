"""The supervisor: a pure state machine that owns every worker's life."""
