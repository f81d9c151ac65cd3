"""Traffic between worker and orchestrator: frames, orders, marks, records, progress cells."""
