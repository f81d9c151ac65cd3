"""What keeps a program from being started is told before."""

import pytest

from orchestrator.plan.programs import Programs


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("#!/bin/sh\r\necho\r\n", "ends as in Windows"),
        ("#!/usr/bin/env python3\r\n", "ends as in Windows"),
        ("echo\n", "without a first line"),
        ("", "without a first line"),
        ("#!/usr/bin/nonesuch\n", "/usr/bin/nonesuch, which is not there"),
        ("#!\n", "by nothing"),
        ("#!/bin/sh\necho\n", None),
        ("#! /bin/sh -e\n", None),
        ("#!/bin/sh", None),
        ("\x7fELF\x00", None),
        ("\u00e9\n", None),
    ],
)
def test_a_script_that_the_kernel_cannot_start_is_told(tmp_path, text, flaw):
    path = tmp_path / "own.sh"
    path.write_bytes(text.encode())
    path.chmod(0o755)
    for programs, name in [
        (Programs(None, tmp_path), "./own.sh"),
        (Programs(str(tmp_path), tmp_path), "own.sh"),
    ]:
        found = programs.flaw(name)
        assert found is None if flaw is None else flaw in found[0]
