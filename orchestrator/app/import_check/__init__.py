"""The trial of an import: targets imported in a child program, and the problems that tells."""
