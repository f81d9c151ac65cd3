"""Large items are pickled once, when they are put; nothing is pickled only to see its size."""

import pickle

import pytest

from orchestrator.worker import outbox

MB = 1 << 20


@pytest.mark.pure_only
@pytest.mark.parametrize("item", [b"x" * MB, "x" * MB, [b"x" * MB]])
def test_a_large_item_is_pickled_once(item, monkeypatch):
    sizes = []

    def counted(function):
        def call(value):
            pickled = function(value)
            sizes.append(len(pickled))
            return pickled

        return call

    monkeypatch.setattr(outbox, "sole", counted(outbox.sole))
    box = outbox.Outbox(("q",), chunk_items=10, part_items=10, free=True)
    box.dump = counted(box.dump)
    box.add(item)
    monkeypatch.setattr(pickle, "dumps", None)
    outputs, blobs = [], []
    box.take(0, outputs, blobs, with_open=True)
    packs = type(item) is list  # pickled by itself, and the pickle put into its chunk
    assert len(sizes) == 1 + packs
    (raw,) = pickle.loads(blobs[0])
    assert (pickle.loads(raw) if packs else raw) == item
