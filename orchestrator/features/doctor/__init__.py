"""Tries out what mporch needs of the system, and says what follows where something is missing."""
