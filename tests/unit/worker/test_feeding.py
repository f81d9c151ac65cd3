"""Items on their way into a program's standard input."""

import io

import pytest

from orchestrator.worker.command.process import Feeder


def test_what_keeps_an_item_from_being_written_is_known_before_the_program_sees_the_end():
    known = []

    class Pipe(io.BytesIO):
        def close(self):
            with pytest.raises(ValueError, match="refused"):
                feeder.check()
            known.append(self.getvalue())
            super().close()

    def pieces():
        yield b"one\n"
        raise ValueError("refused")

    feeder = Feeder(Pipe(), pieces())
    feeder.write()
    assert known == [b"one\n"]
