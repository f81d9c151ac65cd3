"""MP101 to MP109: the file as a whole, before anything is read as YAML."""

from __future__ import annotations

from orchestrator.errors import Rule

_RIGHT = """\
version: 1
jobs:
  report: {target: "mine:report"}
"""

NO_FILE = Rule(
    code="MP101",
    title="There is no such file",
    why="The path of the spec leads nowhere. Without a path, mporch looks for jobs.yaml in the "
    "current folder.",
    wrong="$ rm -f jobs.yaml\n",
    right=_RIGHT,
)

NOT_A_FILE = Rule(
    code="MP102",
    title="The spec is a folder, a pipe or a device",
    why="A spec is a regular file, so that reading it cannot hang or go on for ever. One that "
    "another program writes comes over standard input: `generate | mporch validate -`.",
    wrong="$ mkdir jobs.yaml\n",
    right=_RIGHT,
)

UNREADABLE = Rule(
    code="MP103",
    title="The file cannot be read",
    why="The system refuses to open it: a missing permission, a link that leads to itself, a disk "
    "that fails. The message has the system's reason.",
    wrong="$ ln -s jobs.yaml jobs.yaml\n",
    right=_RIGHT,
)

TOO_LARGE = Rule(
    code="MP104",
    title="The file is larger than 1 MiB",
    why="A spec names data, it holds none. Put the data into a file of its own and give its path "
    "to the target. Nothing of a larger file is read.",
    wrong="$ yes '# much more data' | head -n 80000 > jobs.yaml\n",
    right=_RIGHT,
)

NOT_UTF8 = Rule(
    code="MP105",
    title="The file is not UTF-8",
    why="A spec is UTF-8, with or without a byte order mark. A file in Latin-1 or UTF-16 would be "
    "read as something else than was written, so it is refused at its first wrong byte.",
    wrong="$ printf 'version: 1\\nname: caf\\351\\n' > jobs.yaml\n",
    right='version: 1\nname: café\njobs:\n  report: {target: "mine:report"}\n',
)

CONTROL_CHARACTER = Rule(
    code="MP106",
    title="A character that may not stand in YAML",
    why="Control characters (NUL, escape, …) cannot be seen, and can change what a terminal shows; "
    "U+0085, U+2028 and U+2029 end a line for some readers and not for others. "
    'In text they can be written as an escape in double quotes, such as "\\\\e[1m".',
    wrong="$ printf 'version: 1\\nname: a\\033[1mb\\n' > jobs.yaml\n",
    right='version: 1\njobs:\n  report: {target: "mine:report", description: "\\e[1mbold"}\n',
)
