"""The engine of agents: workers on processes elsewhere, over TCP."""
