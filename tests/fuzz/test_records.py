from pathlib import Path

import pytest

from pipeline.records.codecs import Encoding
from pipeline.records.example import to_example
from tests.fuzz import records


def test_mutated_records_are_clips_or_named_errors(tmp_path: Path) -> None:
    found = records.fuzz(1500, seed=7, root=tmp_path)
    assert found["shard: the record refuses"] > 50
    for name in ("raw", "png", "jpeg"):
        assert found[f"{name}: the record refuses, the batch refuses"] > 50
        assert found[f"{name}: the record reads, the batch reads"] > 0


@pytest.mark.parametrize("name", records.MUTATIONS)
def test_a_mutation_changes_a_record_as_its_seed_says(name: str) -> None:
    record = to_example(records.CLIP, Encoding("png"))
    made = {records.mutate(record, [(name, seed)]) for seed in range(20)}
    assert len(made - {record}) > 5
    assert records.mutate(record, [(name, 3)]) == records.mutate(record, [(name, 3)])
