"""Run with `python -m unittest`."""

from __future__ import annotations

import unittest
from pathlib import Path

import orchestrator

import images

HERE = Path(__file__).parent


class TestImages(unittest.TestCase):
    """The functions alone, and the pipeline."""

    def test_a_square_becomes_its_mean(self) -> None:
        """Two white pixels and two black ones make a grey one."""
        small = images.shrink(images.Picture("dots", 2, bytes([0, 255, 255, 0])), factor=2)
        self.assertEqual(small, images.Picture("dots", 1, bytes([127])))

    def test_a_thumbnail_of_each_picture_is_saved(self) -> None:
        """Twelve pictures come in and go out."""
        result = orchestrator.load(HERE / "jobs.yaml").run(output="none")
        self.assertTrue(result, result.reason)
        self.assertEqual(result.queues["thumbnails"].done, 12)
        saved = sorted((HERE / "out").glob("rings-*.png"))
        self.assertEqual(len(saved), 12)
        self.assertTrue(saved[0].read_bytes().startswith(b"\x89PNG"))


if __name__ == "__main__":
    unittest.main()
