"""Run with `python -m unittest`."""

from __future__ import annotations

import unittest
from pathlib import Path

import orchestrator

HERE = Path(__file__).parent


class TestOrders(unittest.TestCase):
    """The pipeline as a whole."""

    def test_each_order_goes_one_of_two_ways(self) -> None:
        """Sixteen of twenty are packed, and the books balance."""
        result = orchestrator.load(HERE / "jobs.yaml").run(output="none")
        self.assertTrue(result, result.reason)
        self.assertEqual((result.queues["good"].done, result.queues["bad"].done), (16, 4))
        self.assertEqual(len((HERE / "out/packed.txt").read_text().splitlines()), 16)


if __name__ == "__main__":
    unittest.main()
