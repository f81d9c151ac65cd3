"""Live runs, from another terminal: `mporch top`, `tap`, `stack`, `stop`."""
