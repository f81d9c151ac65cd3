"""The YAML of a spec: text, parser and composer, and the tree with the place of each piece."""
