"""What every test may ask for: the shared traces, a cache folder of its own, and any policy, plug-ins included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a policy that is not registered, for as long as the tests of a module run."""
    from every_policy import PLUG_IN

    from evictlab.policies import registry

    path = tmp_path_factory.mktemp("plug_in") / "plug_in_of_the_laws.py"
    path.write_text(PLUG_IN)
    yield path
    registry._SPECS.pop("plug_in_of_the_laws", None)


@pytest.fixture
def policy(request: pytest.FixtureRequest, plug_in: Path) -> Any:
    """The policy that a test's parameter names: of `every_policy.EVERY`."""
    from every_policy import ObjectPolicy

    from evictlab.policies import parse_policy

    return ObjectPolicy() if request.param == "object" else parse_policy(request.param.replace("plug-in", str(plug_in)))


# The same examples on every run, and nothing written next to the tests.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
