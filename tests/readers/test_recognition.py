"""Formats are told by content; suffixes break ties; what stays ambiguous is asked for."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evictlab.traces.errors import FormatError
from evictlab.traces.readers import FORMATS, formats, open_reader


def test_the_suffix_decides_between_formats_that_fit_alike(tmp_path):
    # Bare numbers are plain ids, and under a suffix of the LIRS authors theirs.
    for suffix, name in [("", "plain"), (".txt", "plain"), (".trc", "lirs"), (".trc.gz", "lirs")]:
        file = tmp_path / f"t{suffix}"
        file.write_bytes(gzip.compress(b"1\n2\n3\n") if suffix.endswith("gz") else b"1\n2\n3\n")
        assert open_reader(file).name == name


def test_ambiguity_names_the_candidates(tmp_path):
    # Two columns without a header, or ids with a bar in them?
    file = tmp_path / "t.dat"
    file.write_text("a|7\nb|8\n")
    with pytest.raises(FormatError, match=r"may be csv or plain.*csv:"):
        open_reader(file)
    assert open_reader(f"plain:{file}").name == "plain"


def test_format_names_ignore_case_and_hyphens(tmp_path):
    file = tmp_path / "t.bin"
    file.write_bytes(struct.pack("<IQIq", 1, 2, 3, -1))
    assert open_reader(f"Oracle-General:{file}").name == "oracle_general"


def test_a_path_with_a_colon_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lirs:7").write_text("/a\n")
    assert open_reader("lirs:7").name == "plain"
    assert open_reader(Path("lirs:7")).name == "plain"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'1.2.3.4 - - [x] "GET / HTTP/1.1" 200 5\n', "'1.2.3.4 - -"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), "7f 45 4c 46"),
        (bytes(4096), "bytes 00 00"),
    ],
)
def test_an_unknown_file_is_shown(tmp_path, content, said):
    file = tmp_path / "t"
    file.write_bytes(content)
    with pytest.raises(FormatError, match=said) as caught:
        open_reader(file)
    assert "known: access_log, address" in str(caught.value)


@pytest.mark.parametrize("executable", [sys.executable, np.__file__.replace("__init__.py", "")])
def test_programs_are_no_traces(executable):
    path = Path(executable)
    files = [path] if path.is_file() else sorted(path.rglob("*.so"))[:5]
    for file in files:
        with pytest.raises(FormatError, match="no known trace format"):
            open_reader(file)


def test_oracle_general_needs_times_in_order_and_next_uses_ahead(tmp_path):
    # Only the order of the times, or one next use, differs from a trace.
    good = [(5, 1, 9, 2), (6, 2, 9, -1), (7, 1, 9, -1)]
    for records, fine in [(good, True), (good[::-1], False), ([good[0], (6, 2, 9, 1), good[2]], False)]:
        file = tmp_path / "t"
        file.write_bytes(b"".join(struct.pack("<IQIq", *record) for record in records))
        if fine:
            assert open_reader(file).name == "oracle_general"
        else:
            with pytest.raises(FormatError):
                open_reader(file)


def test_the_table_of_formats_is_complete():
    rows = formats()
    assert [row.name for row in rows] == sorted(row.name for row in rows) == list(FORMATS)
    for row in rows:
        assert row.title
        assert row.description
        assert row.source.startswith("https://")
        assert row.reader.name == row.name
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in row.suffixes)
    assert {row.name for row in rows} >= {"oracle_general", "csv", "parquet", "vscsi", "arc", "lirs", "spc", "msr"}


def test_importing_readers_is_light():
    code = (
        "import sys, evictlab.traces.readers as r; r.formats();"
        "print([m for m in ('numba', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
