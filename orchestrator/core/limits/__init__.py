"""The limit of a run: which jobs held the others up, when, why, and what to try; from samples."""

from orchestrator.core.limits.bottleneck import Bottleneck, Why
from orchestrator.core.limits.finder import Limits, limits_of

__all__ = ["Bottleneck", "Limits", "Why", "limits_of"]
