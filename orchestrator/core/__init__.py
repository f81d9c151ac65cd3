"""How a run evolves: pure state machines. No I/O, no clock, no process, no logger, no pickle."""
