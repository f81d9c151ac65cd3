"""What is said beside the frames: on a home's control socket and on a queue's token."""

from __future__ import annotations

import struct

__all__ = ["JOIN", "NEW_QUEUE"]

NEW_QUEUE = struct.Struct("<Qq")
"""Home to broker: a queue's number and its bound; the broker's end of its token travels beside."""

JOIN = b"join"
"""Process to broker, on any queue's token, to begin a session: beside it travel the broker's end of
the stream, the page of acks and the process's own pidfd."""
