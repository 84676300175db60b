"""A bundle: a folder with a model and all that a system administrator needs to let NGINX evict by it.

Beside the model's three files it holds the sources of the NGINX module, an example of NGINX's configuration, a systemd unit and
a README with the steps.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from ..traces.errors import ResultError, UsageError
from .sidecar.model import FORMAT, METADATA, MODEL, PARITY, Model, load_model

__all__ = ["write_bundle"]

TEMPLATES = ("nginx.conf", "evictlab-sidecar.service", "README.md")
MODULE = "module"
OWN = {MODEL, METADATA, PARITY, MODULE, *TEMPLATES}
"""What a bundle is made of."""

SOURCES = Path(__file__).parent / "nginx"
"""The module in C and the file `config` by which NGINX builds it."""

PLACES = {
    "home": "/opt/evictlab",
    "bundle": "/etc/evictlab/bundle",
    "socket": "/run/evictlab/sidecar.sock",
    "runtime": "evictlab",
    "group": "www-data",
    "guard_window": 2000,
    "guard_margin": 0.02,
}
"""Where things are on the server, as the files say; the README tells what to change."""


def write_bundle(model: str | Path, output: str | Path) -> Path:
    """Make a bundle of a model.

    Parameters
    ----------
    model : path
        Folder with model.onnx, metadata.json and parity.npz.
    output : path
        A new or empty folder, or an older bundle, whose files are replaced one by one, metadata.json last: a sidecar
        that serves from there takes up the new model. Other files in it are left alone.

    Returns
    -------
    Path
        `output`.

    Raises
    ------
    UsageError
        `output` is something else than that.
    FormatError
        The model is not sound; nothing was written.
    ResultError
        The bundle cannot be written.
    """
    checked, output = load_model(model), Path(output)
    _check_output(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as room:
            made = Path(room) / "bundle"
            _fill(made, checked)
            load_model(made)
            _move(made, output)
    except OSError as error:
        raise ResultError(f"cannot write {error.filename or output}: {error.strerror or error}") from error
    return output


def _check_output(output: Path) -> None:
    """Refuse to write into a folder that is not ours."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UsageError(f"{output} is a file; name a folder for the bundle")
    names = {path.name for path in output.iterdir()}
    if names and not _is_bundle(output, names):
        raise UsageError(f"{output} holds other files and is no bundle; name a new folder, so that nothing is lost")


def _is_bundle(folder: Path, names: set[str]) -> bool:
    if not names >= OWN:
        return False
    with suppress(OSError, ValueError):
        metadata = json.loads((folder / METADATA).read_bytes())
        return isinstance(metadata, dict) and metadata.get("format") == FORMAT
    return False


def _fill(folder: Path, model: Model) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    folder.mkdir()
    for name, content in model.files.items():
        (folder / name).write_bytes(content)
    (folder / MODULE).mkdir()
    for source in module_sources():
        shutil.copyfile(source, folder / MODULE / source.name)
    environment = Environment(
        loader=PackageLoader("evictlab.rl", "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # none of it is HTML
    )
    facts = _facts(model)
    for name in TEMPLATES:
        (folder / name).write_text(environment.get_template(f"{name}.j2").render(facts), encoding="utf-8")
    for path in (folder, *folder.rglob("*")):  # the sidecar's account reads it, whatever the umask here
        path.chmod(0o755 if path.is_dir() else 0o644)


def module_sources() -> list[Path]:
    """Files from which NGINX's configure builds the module, and the reference of its directives."""
    found = sorted(
        path for path in SOURCES.iterdir() if path.name in ("config", "README.md") or path.suffix in (".c", ".h")
    )
    if not any(path.name == "config" for path in found):
        raise ResultError(
            f"{SOURCES} holds no sources of the NGINX module: this evictlab is not whole, install it again"
        )
    return found


def _facts(model: Model) -> dict[str, Any]:
    try:
        version = version_of("evictlab")
    except PackageNotFoundError:
        version = "of this checkout"
    metadata = model.metadata
    return {
        **PLACES,
        "version": version,
        "k": metadata["k"],
        "tail": metadata["tail"],
        "newest": min(metadata["k"] // 8, metadata["k"] - metadata["tail"]),
        "sha256": metadata["model_sha256"],
        "trained": json.dumps(metadata.get("trained", {}), indent=1, ensure_ascii=False),
    }


def _move(made: Path, output: Path) -> None:
    """Put a whole bundle in place: at once where there is none, else file by file, so that it can be read meanwhile."""
    if not output.exists() or not any(output.iterdir()):
        made.replace(output)
        return
    files = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    for source in (output / MODULE).iterdir():  # of an older module, which would be taken for a part of the new one
        if source.suffix in (".c", ".h") and source.relative_to(output) not in files:
            source.unlink()
    for file in sorted(files, key=lambda path: path.name == METADATA):
        (made / file).replace(output / file)
