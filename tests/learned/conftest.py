"""Fixtures of the tests that run NGINX with the module: the module, and a folder for sockets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from learned.nginx_module import short_folder

from evictlab.experiments.cli.nginx import build
from evictlab.rl.build import HEADERS, SOURCES
from evictlab.traces.record.nginx import MissingNginxError, find_nginx


@pytest.fixture(scope="session")
def module(tmp_path_factory):
    """The module, built as a user does; its compiler warnings are errors."""
    required = "nginx" in os.environ.get("EVICTLAB_REQUIRE", "").split(",")
    try:
        find_nginx()
    except MissingNginxError:
        if required:
            raise
        pytest.skip("nginx is not installed")
    if not (HEADERS / "conf_flags").is_file():
        pytest.skip(f"nginx-dev is not installed: {HEADERS} is missing")
    if missing := [tool for tool in ("gcc", "make") if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    bundle = tmp_path_factory.mktemp("bundle")
    shutil.copytree(SOURCES, bundle / "module")
    build(bundle, None)
    (made,) = bundle.glob("*.so")
    with short_folder() as folder:  # pytest's own may not be entered by others, such as NGINX's workers
        yield Path(shutil.copy(made, folder))


@pytest.fixture
def folder():
    with short_folder() as made:
        yield made
