"""The spec as its user wrote it: YAML, read with the place of each piece, typed and frozen."""

from orchestrator.spec.compose.layers import Layers
from orchestrator.spec.document import LoadedSpec
from orchestrator.spec.loader import for_case, load, loads

__all__ = ["Layers", "LoadedSpec", "for_case", "load", "loads"]
