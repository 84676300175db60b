"""The real nginx, or a skip; a failure where it must be there (``EVICTLAB_REQUIRE=nginx``, as in ``.ci/run``)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evictlab.traces.record.nginx import MissingNginxError, find_nginx


@pytest.fixture(autouse=True)
def real_nginx(request: pytest.FixtureRequest) -> None:
    """Tests marked ``nginx`` need one."""
    if request.node.get_closest_marker("nginx"):
        try:
            find_nginx()
        except MissingNginxError:
            if "nginx" in os.environ.get("EVICTLAB_REQUIRE", "").split(","):
                raise
            pytest.skip("nginx is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder near the root, for sockets: their names may have a hundred letters, and those of pytest are long."""
    made = Path(tempfile.mkdtemp(prefix="nginx-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)
