"""Words beside the frames: on a home's control socket and on a queue's token."""

from __future__ import annotations

import struct

__all__ = ["JOIN", "NEW_QUEUE", "WATCH"]

NEW_QUEUE = struct.Struct("<Qq")
"""Home to broker: a queue's number and its bound; beside it travel the broker's end of its token
and the page of its size."""

JOIN = struct.Struct("<4sQ")
"""Process to broker, on any queue's token, to begin a session: `join` and its id. Beside it travel
the broker's end of the stream, the page of acks and the process's own pidfd."""

WATCH = struct.Struct("<5sQ")
"""Process to broker, on a queue's token: `watch` and its session's id; beside it travels an event
that shall be readable while the queue has an item for whoever asks."""
