"""Names of items whose workers died at them: asked of a restricted child, for a limited time.

Called in the orchestrator, which never unpickles. The child (`item_namer_child`) is started with
the first such death. While it is asked nothing else of the run is done, so it has little time, and
a run in which it fails often does without.
"""

from __future__ import annotations

import base64
import json

from orchestrator.core.protocol.events import AnyBlob, whole
from orchestrator.item_templates import NO_NAMES
from orchestrator.opening.opener import confined
from orchestrator.plan.model import Plan

__all__ = ["ItemNamer"]

_LONGEST_S = 1.0
_MOST_BYTES = 16 << 20
_MOST_FAILURES = 3
_NO_TIME = "(no name: it took too much memory or time)"


class ItemNamer:
    """Names items as the workers of a plan's jobs do (`item_names`)."""

    def __init__(self, plan: Plan) -> None:
        self._program = confined("orchestrator.opening.item_namer_child", timeout_s=_LONGEST_S)
        self._templates = {name: dict(job.item_names) for name, job in plan.jobs.items()}
        self._failures = 0

    def name(self, job: str, queue: str, chunk: AnyBlob, index: int, *, packed: bool) -> str:
        """Return the name of an item of a chunk; empty if it has none."""
        template = self._templates[job].get(queue, "")
        if template == NO_NAMES or self._failures >= _MOST_FAILURES:
            return ""
        if len(chunk) > _MOST_BYTES:
            return f"({len(chunk):,} bytes)"
        request = {
            "chunk": base64.b64encode(whole(chunk)).decode("ascii"),
            "index": index,
            "packed": packed,
            "template": template,
        }
        answer = self._program.ask(json.dumps(request).encode("ascii"))
        if answer is None:
            self._failures += 1
            return _NO_TIME
        name: str = json.loads(answer)
        return name

    def close(self) -> None:
        """End the child."""
        self._program.end()
