"""Words of other tools for the keys and values of a spec, and the hints made of them."""
