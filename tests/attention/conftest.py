"""One thread for torch; and the real SmolLM2: a skip without it, a failure where ``EVICTLAB_REQUIRE=weights`` wants it."""

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


@pytest.fixture
def one_thread():
    """What is compared or timed is not at the mercy of other tests."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
