"""Run with `python -m unittest`."""

from __future__ import annotations

import unittest
from pathlib import Path

import orchestrator

import primes

HERE = Path(__file__).parent


class TestPrimes(unittest.TestCase):
    """The functions alone, and the pipeline."""

    def test_a_number_that_can_be_divided_is_no_prime(self) -> None:
        """Seven is prime, nine is not."""
        self.assertEqual((primes.test(7), primes.test(9)), (7, None))

    def test_all_primes_below_1000_are_written(self) -> None:
        """There are 168 of them, and no number is lost on the way."""
        result = orchestrator.load(HERE / "jobs.yaml").run(output="none")
        self.assertTrue(result, result.reason)
        self.assertEqual(result.queues["numbers"].done, 998)
        self.assertEqual(len((HERE / "out/primes.txt").read_text().splitlines()), 168)


if __name__ == "__main__":
    unittest.main()
