"""Tests of a spec, as far as they need processes: stand-ins, kills, recordings, comparisons."""
