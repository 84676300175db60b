"""What every test may ask for: the shared traces, and a cache folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# What tests compile is kept from run to run, in the checkout; nothing is written to the home folder.
os.environ["EVICTLAB_CACHE_DIR"] = str(ROOT / ".cache")
os.environ["IPYTHONDIR"] = str(ROOT / ".cache" / "ipython")
os.environ["MPLCONFIGDIR"] = str(ROOT / ".cache" / "matplotlib")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real traces and independent results, or a skip that says what is missing."""
    places = [Path(os.environ["EVICTLAB_SHARED_DATA"])] if "EVICTLAB_SHARED_DATA" in os.environ else []
    places.append(ROOT.parent / "shared" / "data")
    for place in places:
        if (place / "MANIFEST.csv").is_file():
            return place
    pytest.skip(f"no real traces here: looked for MANIFEST.csv in {', '.join(map(str, places))}")


# The same examples on every run, and nothing written next to the tests.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
