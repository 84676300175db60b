"""The real SmolLM2, or a skip; a failure where it must be there (``EVICTLAB_REQUIRE=weights``, as in ``.ci/run``)."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def smollm2():
    """The model, loaded once."""
    from evictlab.traces import EvictlabError
    from evictlab.traces.record.attention import find_smollm2, load_model

    try:
        path = find_smollm2()
        missing = "the weights of SmolLM2 are missing: evictlab trace fetch smollm2, or name them in EVICTLAB_WEIGHTS"
    except EvictlabError as error:
        path, missing = None, str(error)
    if path is None:
        if "weights" in os.environ.get("EVICTLAB_REQUIRE", "").split(","):
            pytest.fail(f"{missing}; EVICTLAB_REQUIRE says that they must be there")
        pytest.skip(missing)
    return load_model(path)
