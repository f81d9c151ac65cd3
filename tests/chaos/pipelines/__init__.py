"""Random pipelines of every shape, whose processes are killed, stopped and resumed at random."""
