"""The only floor that touches processes, sockets and signals."""
