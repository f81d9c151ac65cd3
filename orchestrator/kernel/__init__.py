"""Calls of the kernel: what Python does not wrap, limits, and the descendants of a process."""
