"""Run with `python -m unittest`."""

from __future__ import annotations

import unittest
from pathlib import Path

import orchestrator

import web

HERE = Path(__file__).parent


class TestWeb(unittest.TestCase):
    """The functions alone, and the pipeline."""

    def test_a_page_without_a_title_goes_nowhere(self) -> None:
        """A title is returned with its address, no title is None."""
        self.assertEqual(web.title(("u", "<title> A </title>")), ("u", "A"))
        self.assertIsNone(web.title(("u", "nothing")))

    def test_all_pages_but_the_missing_one_are_read(self) -> None:
        """A missing page is skipped and counted, and is no failure."""
        result = orchestrator.load(HERE / "jobs.yaml").run(output="none")
        self.assertTrue(result, result.reason)
        self.assertEqual((result.queues["urls"].done, result.queues["urls"].skipped), (19, 1))
        self.assertEqual(len((HERE / "out/titles.csv").read_text().splitlines()), 1 + 19)


if __name__ == "__main__":
    unittest.main()
