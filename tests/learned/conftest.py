"""Fixtures of the tests that run NGINX with the module, or a sidecar: the module, a model, a server, a folder for sockets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evictlab.experiments.cli.nginx import build
from evictlab.rl.build import HEADERS, SOURCES
from evictlab.traces.record.nginx import MissingNginxError, find_nginx

pytest.register_assert_rewrite("learned.nginx_module")  # so it is imported later than this, in the fixtures


@pytest.fixture(scope="session")
def nginx_tools() -> None:
    """A skip where NGINX, or what builds its module, is missing; a failure where it is required, as in ``.ci/run``."""
    required = "nginx" in os.environ.get("EVICTLAB_REQUIRE", "").split(",")
    try:
        find_nginx()
    except MissingNginxError:
        if required:
            raise
        pytest.skip("nginx is not installed")
    missing = [tool for tool in ("gcc", "make") if shutil.which(tool) is None]
    if not (HEADERS / "conf_flags").is_file():
        missing.append(f"nginx-dev ({HEADERS})")
    if missing:
        (pytest.fail if required else pytest.skip)(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory, nginx_tools: None) -> Iterator[Path]:
    """The module, built as a user does; its compiler warnings are errors."""
    from learned.nginx_module import short_folder

    bundle = tmp_path_factory.mktemp("bundle")
    shutil.copytree(SOURCES, bundle / "module")
    build(bundle, None)
    (made,) = bundle.glob("*.so")
    with short_folder() as folder:  # pytest's own may not be entered by others, such as NGINX's workers
        yield Path(shutil.copy(made, folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder near the root: names of sockets may have a hundred letters, and those of pytest are long."""
    from learned.nginx_module import short_folder

    with short_folder() as made:
        yield made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model."""
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module", params=[False, True], ids=["c", "python"])
def served(request: pytest.FixtureRequest, tiny: Path) -> Iterator[Path]:
    """The socket of a server that several tests ask."""
    from learned.nginx_module import short_folder

    from evictlab.rl.sidecar import running_server

    with short_folder() as made:
        path = made / "s"
        with running_server(tiny, path, python=request.param, stdout=subprocess.DEVNULL):
            yield path
        assert not path.exists()
