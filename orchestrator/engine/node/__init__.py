"""A node: all that must be on the machine of the workers, in the orchestrator or in an agent."""
