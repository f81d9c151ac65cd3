"""Run with `python -m unittest`."""

from __future__ import annotations

import unittest
from pathlib import Path

import orchestrator

HERE = Path(__file__).parent


class TestTasks(unittest.TestCase):
    """The run as a whole."""

    def test_the_report_names_both_hours(self) -> None:
        """The report is there, the files on the way to it are not."""
        result = orchestrator.load(HERE / "jobs.yaml").run(output="none")
        self.assertTrue(result, result.reason)
        lines = (HERE / "out/report.txt").read_text().splitlines()
        self.assertEqual(
            lines, ["coldest: 7.0 degrees at 3 o'clock", "warmest: 23.0 degrees at 15 o'clock"]
        )
        self.assertFalse((HERE / "out/coldest.txt").exists())


if __name__ == "__main__":
    unittest.main()
