"""What `evictlab.traces` offers, and that asking for it is cheap."""

from __future__ import annotations

import subprocess
import sys

import evictlab.traces as traces


def test_importing_the_package_is_light() -> None:
    program = (
        "import sys, evictlab.traces, evictlab.traces.units, evictlab.traces.request\n"
        "print(sorted({'numba', 'pandas', 'pyarrow', 'torch'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_integer_traces_need_neither_pandas_nor_pyarrow() -> None:
    program = (
        "import sys, numpy as np; from evictlab.traces import RequestTrace\n"
        "RequestTrace.from_columns(np.array([1, 2, 1], np.uint64)).next_use\n"
        "print(sorted({'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_every_public_name_exists_and_hides_no_module() -> None:
    for name in traces.__all__:
        value = getattr(traces, name)
        assert value is not None
        assert type(value).__name__ != "module", name
    assert set(traces.__all__) <= set(dir(traces))
    assert not hasattr(traces, "no_such_name")
