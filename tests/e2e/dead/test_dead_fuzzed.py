"""Dead letters with one bit changed anywhere: the commands name it, without a traceback."""

import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.main import command_line
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.runlog.letters import DeadLetters
from orchestrator.worker.chunks import PROTOCOL

SEED = 28
FLIPS = 30
EXPORTED = ("dead", "export", "./run")
COMMANDS = (("dead", "list", "./run"), ("dead", "show", "./run", "1-4"), EXPORTED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run directory with four letters in two chunks."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").touch()
    letters = DeadLetters(run)
    for first in (1, 3):
        chunk = pickle.dumps([f"account-{first}", f"account-{first + 1}"], PROTOCOL)
        for index in (0, 1):
            failure = Failure(kind="ValueError", message="bad")
            dead = ItemDead(
                job="work",
                worker="work-1",
                item=f"a:{first + index}",
                queue="a",
                attempts=1,
                failure=failure,
                chunk=chunk,
                index=index,
                packed=False,
            )
            letters.add(dead, 1.0)
    letters.close()
    monkeypatch.chdir(tmp_path)
    yield run / "dead"


def test_one_bit_is_named_by_each_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in COMMANDS:
        assert command_line([*words]) == 0
    capfd.readouterr()
    chance = random.Random(SEED)
    files = sorted(folder.iterdir())
    for _ in range(FLIPS):
        path = chance.choice(files)
        whole = path.read_bytes()
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        for words in COMMANDS:
            code = command_line([*words])
            out, err = capfd.readouterr()
            where = f"{words}: {path.name}, byte {place}, bit {bit}: {out}{err}"
            assert code in (1, 2), where
            assert f"{path} is damaged" in err, where
            assert "Traceback" not in out + err, where
            for line in out.splitlines() if words is EXPORTED else ():
                letter = line.partition('"letter": ')[2][:1]
                assert '"account-' not in line or f'"account-{letter}"' in line, where
        path.write_bytes(whole)
