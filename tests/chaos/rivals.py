"""Two that go on with the same run at once: `python -m tests.chaos.rivals [--times N]`.

Exactly one does; the other ends with exit code 2 and names the process that does. One line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .crash_points import SMALL, Killed
from .processes import descendants
from .resumed_checker import judge
from .resumed_rounds import LONGEST_S, Round

WRITES = 60
_NAMED = re.compile(r"is still going on, in process (\d+)")


def contend(run: Round) -> list[str]:
    """Begin or resume a run twice at once; what is wrong with how that went."""
    enough = run.folder / "enough"
    enough.unlink(missing_ok=True)
    rivals = [run.start(), run.start()]
    try:
        loser = _first_to_end(rivals)
        if loser is None:
            return ["both go on"]
        (winner,) = (rival for rival in rivals if rival is not loser)
        problems = list(_of_the_loser(run, loser, winner))
    finally:
        enough.touch()
        exit_codes = [run.ended(rival) for rival in rivals]
    run.look_around(directory=True)
    done = exit_codes[rivals.index(winner)]
    return [*problems, *judge(run.history(0, done)).problems]


def _first_to_end(rivals: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    fds = {os.pidfd_open(rival.pid): rival for rival in rivals}
    try:
        ended, _, _ = select.select(list(fds), [], [], LONGEST_S)
        return fds[ended[0]] if ended else None
    finally:
        for fd in fds:
            os.close(fd)


def _of_the_loser(
    run: Round, loser: subprocess.Popen[bytes], winner: subprocess.Popen[bytes]
) -> list[str]:
    exit_code = run.ended(loser)
    named = _NAMED.findall(run.said())
    if exit_code != 2:
        return [f"the other ended with {exit_code}: {run.last_words()}"]
    if not named:
        return [f"nobody is named: {run.last_words()}"]
    if int(named[-1]) not in descendants(winner.pid):
        return [f"{named[-1]} is named, which is none of {descendants(winner.pid)}"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    options = parser.parse_args()
    base, began = Path(tempfile.mkdtemp(prefix="rivals-")), time.monotonic()
    killed, failed = Killed(SMALL, base, WRITES, enough=False), 0
    for n in range(options.times):
        if problems := contend(killed.again()):
            failed += 1
            print(json.dumps({"n": n, "problems": problems}), flush=True)
    took = int(time.monotonic() - began)
    print(json.dumps({"times": options.times, "failed": failed, "s": took}))
    if not failed:
        shutil.rmtree(base)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
