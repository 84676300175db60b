"""The real nginx, or a skip."""

from __future__ import annotations

import pytest

from evictlab.traces.record.nginx import MissingNginxError, find_nginx


@pytest.fixture(autouse=True)
def real_nginx(request: pytest.FixtureRequest) -> None:
    """Tests marked ``nginx`` need one."""
    if request.node.get_closest_marker("nginx"):
        try:
            find_nginx()
        except MissingNginxError:
            pytest.skip("nginx is not installed")
