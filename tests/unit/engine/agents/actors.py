"""Agents that a test speaks for: they know the key and the protocol, and say what they like."""

import os
import select
import socket
import struct
import time

from orchestrator.engine.agents import control
from orchestrator.engine.agents.dialing import Dialing
from orchestrator.engine.agents.engine import AgentsEngine
from orchestrator.engine.agents.keys import Introduction, Purpose

WITHIN_S = 10.0


class ToldOrder:
    """In an order's place: only its bytes matter here."""

    def encode(self):
        return b"an order"


class Stage:
    """A host whose agents are no processes, and the engine that they belong to."""

    def __init__(self, **settings):
        self.actors = []
        self.engine = AgentsEngine(
            run="run", hash_seed="0", workers=8, begin=self._begin, **settings
        )
        self.happened = []

    def _begin(self, launch):
        self.actors.append(Actor(launch, len(self.actors)))
        return self.actors[-1].host

    def start(self, worker):
        self.engine.start(worker, worker.partition("-")[0], ToldOrder())

    def turn(self, timeout_s=0.01):
        happened = self.engine.wait(timeout_s)
        self.engine.flush()
        self.happened += happened
        return happened

    def until(self, look, within_s=WITHIN_S):
        """Turn until that is true."""
        end = time.monotonic() + within_s
        while not (seen := look()):
            assert time.monotonic() < end, self.happened
            self.turn()
        return seen

    def told(self, kind, **fields):
        """The happenings of a kind so far, with these values."""
        return [
            each
            for each in self.happened
            if type(each) is kind and all(getattr(each, k) == v for k, v in fields.items())
        ]

    def warnings(self):
        return [
            each.message
            for happening in self.happened
            for each in getattr(happening, "notifications", ())
            if hasattr(each, "message")
        ]

    def is_closed(self, sock):
        """Wait for the end of a connection; whether nothing came by it."""
        self.until(lambda: select.select([sock], [], [], 0)[0])
        try:
            return not sock.recv(1)
        except ConnectionResetError:
            return True

    def close(self):
        for actor in self.actors:
            actor.die()
        self.engine.close(0.1)


class FakeHost:
    """The process of an actor: it ends when it is told to, or not at all."""

    def __init__(self, number):
        self.pid = 1 << 22 | number
        self._fd = os.eventfd(0)
        self.asked = []
        self.obeys = True

    def fileno(self):
        return self._fd

    def end(self):
        self.asked.append("end")
        if self.obeys:
            self.die()

    def kill(self):
        self.asked.append("kill")
        self.die()

    def die(self):
        if self._fd is not None:
            os.eventfd_write(self._fd, 1)

    def reap(self):
        os.close(self._fd)
        self._fd = None
        return "ended"


class Actor:
    """One agent."""

    def __init__(self, launch, number):
        self.launch = launch
        self.host = FakeHost(number)
        self.control = None
        self.reader = control.to_agent()
        self.heard = []
        self.channels = {}

    def dialing(self, about, key=None):
        launch = self.launch
        address = (launch.host, launch.port)
        return Dialing(address, key or launch.key, launch.run, about, now=time.monotonic())

    def dial(self, stage, about, key=None):
        dialing = self.dialing(about, key)
        stage.until(lambda: dialing.go_on(time.monotonic()))
        dialing.sock.setblocking(True)
        return dialing.sock

    def connect(self, stage):
        """Be there: as an agent, it says at once that it lives."""
        about = Introduction(purpose=Purpose.CONTROL, agent=self.launch.agent)
        self.control = self.dial(stage, about)
        self.say(control.Beat())

    def hear(self, stage, kind):
        """The next record of that kind, once it has come."""

        def next_one():
            while select.select([self.control], [], [], 0)[0]:
                if not (data := self.control.recv(1 << 16)):
                    raise EOFError
                self.heard += [record for record, _ in self.reader.feed(data)]
            return next((each for each in self.heard if type(each) is kind), None)

        found = stage.until(next_one)
        self.heard.remove(found)
        return found

    def say(self, *records):
        self.control.sendall(b"".join(map(control.encode, records)))

    def say_bytes(self, data):
        self.control.sendall(struct.pack("<I", len(data)) + data)

    def channel(self, stage, life, worker, agent=None):
        about = Introduction(
            purpose=Purpose.CHANNEL, agent=agent or self.launch.agent, worker=worker, life=life
        )
        self.channels[worker] = self.dial(stage, about)
        return self.channels[worker]

    def has_worker(self, stage, worker):
        """Take an order and carry it out; return the life's number and its channel."""
        order = self.hear(stage, control.StartLife)
        assert order.worker == worker
        channel = self.channel(stage, order.life, worker)
        self.say(control.LifeStarted(life=order.life, pid=1000 + order.life))
        return order.life, channel

    def die(self):
        for sock in (self.control, *self.channels.values()):
            if isinstance(sock, socket.socket):
                sock.close()
        self.host.die()
