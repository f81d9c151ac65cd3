"""Queues without a run, between processes that a program starts itself.

`queue.py` is what the program sees, `holding.py` a process's hold on one queue and its side of the
broker, if it has started one, `session.py` its connection to the broker, `server.py` the broker's
own process, `pages.py` the memory that both share.

Who holds a queue is told by descriptors alone: each queue has a socket whose one end all its
holders share (by inheritance) and whose other end the broker has. Over it a process sends one end
of a fresh stream socket, its session; when the last holder has closed it, the queue is over. So
nothing listens on a path or a port, nothing is left when a process is killed, and a forked process
never shares a stream.
"""
