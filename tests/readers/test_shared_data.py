"""Real traces: recognised without a name, with exactly the requests and objects that others counted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evictlab.traces.readers import open_reader

FORMAT_OF = {
    "arc/P3.lis.zst": "arc",
    "lirs/backf.trace.gz": "lirs",
    "lirs/cpp.trace.gz": "lirs",
    "lirs/loop.trace.gz": "lirs",
    "lirs/multi1.trace.gz": "lirs",
    "lirs/ps.trace.gz": "lirs",
    "lirs/scan.trace.gz": "lirs",
    "address/gcc.trace.gz": "address",
    "address/mcf.trace.gz": "address",
    "address/swim.trace.gz": "address",
    "address/gcc-penalties.trace.xz": "address",
    "address/parrot-sample_trace.csv.zst": "parrot",
    "cache2k/orm-night.trace.xz": "cache2k",
    "cache2k/web07.trace.xz": "cache2k",
    "kv/corda-vaultservice.trace.gz": "corda",
    "kv/cachelib-kv_traces_1.csv.zst": "cachelib_kv",
    "block/cachelib-block_traces_1.csv.zst": "cachelib_block",
    "block/cloudPhysicsIO-first1000.vscsi.zst": "vscsi",
    "block/cloudPhysicsIO-first1000.oracleGeneral.bin.zst": "oracle_general",
    "block/cloudPhysicsIO-first1000.csv.zst": "libcachesim_csv",
    "web/webcachesim-test.tr.zst": "webcachesim",
    "llm/mooncake-synthetic_trace.jsonl.zst": "mooncake",
}


@pytest.mark.parametrize("file", FORMAT_OF)
def test_counts_are_those_of_the_manifest(shared_data: Path, file: str):
    with (shared_data / "MANIFEST.csv").open() as manifest:
        row = next(row for row in csv.DictReader(manifest) if row["file"] == file)
    reader = open_reader(shared_data / file)
    assert reader.name == FORMAT_OF[file]
    keys, n_bytes, first, last = [], 0, None, None
    for batch in reader.batches():
        keys.append(pa.array(batch.keys))
        n_bytes += 0 if batch.sizes is None else int(batch.sizes.sum())
        if batch.times is not None:
            first, last = batch.times[0] if first is None else first, batch.times[-1]
    column = pa.chunked_array(keys)
    assert len(column) == int(row["requests"])
    assert len(column.unique()) == int(row["unique_objects"])
    assert not reader.account.dropped
    if row["total_bytes"]:
        assert n_bytes == int(row["total_bytes"])
    if row["time_span_s"]:
        assert last - first == pytest.approx(float(row["time_span_s"]), abs=1e-3)


def test_the_three_forms_of_one_trace_agree(shared_data: Path):
    # cloudPhysicsIO as vscsi, csv and oracleGeneral; the last leaves out what others repeat, so only keys compare.
    forms = ["vscsi", "csv", "oracleGeneral.bin"]
    keys = [
        np.concatenate(
            [b.keys for b in open_reader(shared_data / f"block/cloudPhysicsIO-first1000.{form}.zst").batches()]
        )
        for form in forms
    ]
    assert (keys[0] == keys[1]).all()
    assert (keys[0] == keys[2]).all()


def test_brightkite_hashes_are_text(shared_data: Path):
    reader = open_reader(shared_data / "paging/brightkite/bk0.txt")
    keys = [key for batch in reader.batches() for key in batch.keys.to_pylist()]
    assert reader.name == "plain"
    assert len(keys[0]) == 32
