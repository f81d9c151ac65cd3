"""The core of a run: pure state machines. No I/O, no clock, no process, no logger, no pickle."""
