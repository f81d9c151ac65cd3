"""The store of a durable run: its journal, its chunks, and what tells whether they are whole."""
