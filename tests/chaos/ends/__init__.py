"""Ends: runs of the command are ended in every way there is, and what is left is looked for.

Nothing of mporch is imported: the looking is done from outside, in /proc, /dev/shm and the file
system. See docs in `__main__`.
"""
