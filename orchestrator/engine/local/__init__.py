"""The engine in this process: workers of this machine, over socket pairs."""
