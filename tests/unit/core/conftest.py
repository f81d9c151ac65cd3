"""Puts this folder on the path: the tests below import the fakes beside this file."""
