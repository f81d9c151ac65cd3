"""The oldest version of each library that a setup.cfg allows, as constraints of pip."""

import configparser
import re
import sys
from pathlib import Path


def oldest(setup_cfg: str) -> dict[str, str]:
    """Return the version by name; stubs have none. Raises ValueError if another has none."""
    parser = configparser.ConfigParser()
    parser.read_string(setup_cfg)
    wanted = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    versions = {}
    for line in "\n".join(wanted).split():
        if found := re.match(r"([\w.-]+)>=([\w.]+)", line):
            versions[found[1]] = found[2]
        elif not line.startswith("types-"):
            raise ValueError(f"{line} has no oldest version")
    return versions


if __name__ == "__main__":
    for name, version in oldest(Path(sys.argv[1]).read_text(encoding="utf-8")).items():
        print(f"{name}=={version}")
