"""The keys of a store are those of before: fields may be renamed, a run of before is read."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.core.durable.records import Fate
from orchestrator.core.durable.snapshot import StoredJob, StoredQueue, StoredRun, StoredWorker

KEYS = {
    StoredRun: "queues jobs workers jobs_done last_chunk pending",
    StoredQueue: (
        "put done skipped dropped shed dead lost tasks_done held attempts dead_items parted"
    ),
    StoredJob: "items_in items_out skipped retried dead",
    StoredWorker: "job dealt again read tasks_done emitted got ended counts again_got",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_store_has_the_keys_of_before(kind: type[msgspec.Struct]) -> None:
    assert [field.encode_name for field in msgspec.structs.fields(kind)] == KEYS[kind].split()


@pytest.mark.parametrize("fate", Fate)
def test_the_stored_queue_counts_each_end_by_its_name(fate: Fate) -> None:
    assert getattr(StoredQueue(), fate.name.lower()) == 0
