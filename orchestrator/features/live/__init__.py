"""Live runs, from another terminal: `mporch top`, `tap`, `stop`."""
