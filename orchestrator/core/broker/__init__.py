"""The broker: a pure state machine that owns every queue."""
