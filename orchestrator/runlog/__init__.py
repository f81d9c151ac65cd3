"""The log of a run: event catalogue, writer, run directories, reader, query."""
