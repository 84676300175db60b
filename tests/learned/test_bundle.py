"""A bundle: everything that it should hold, nothing else overwritten, and files that say what the model is."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("onnx")

from tiny_model import OLD, write_tiny_model

from evictlab.rl.bundle import module_sources, write_bundle
from evictlab.rl.sidecar import load_model
from evictlab.traces.errors import EvictlabError, UsageError

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off

DIRECTIVES = ("sidecar", "mode", "candidates", "table", "timeout", "interval", "guard", "status")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    return write_bundle(write_tiny_model(folder / "model", k=48, tail=16), folder / "out" / "bundle")


def test_it_holds_a_model_that_loads_and_the_module(bundle):
    assert load_model(bundle).metadata["k"] == 48
    assert {path.name for path in (bundle / "module").iterdir()} == {path.name for path in module_sources()}
    assert (bundle / "module" / "config").is_file()
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle"}, "nothing else was left"


def test_the_configuration_names_every_directive_and_fits_the_model(bundle):
    conf = re.sub(r"#.*", "", (bundle / "nginx.conf").read_text())
    assert [d for d in DIRECTIVES if not re.search(rf"\bevictlab_{d}\b[^;{{}}]*;", conf)] == []
    assert "evictlab_candidates 48 tail=16 newest=6;" in conf
    assert re.search(r"load_module \S+ngx_http_evictlab_module\.so;", conf)
    assert conf.count("{") == conf.count("}")
    known = "".join(path.read_text() for path in (bundle / "module").glob("*.c"))
    for directive in re.findall(r"\bevictlab_(\w+)", conf):
        if directive != "module":
            assert f'"evictlab_{directive}"' in known, f"the module has no directive evictlab_{directive}"


def test_all_files_agree_where_things_are(bundle):
    conf, unit, readme = (
        (bundle / name).read_text() for name in ("nginx.conf", "evictlab-sidecar.service", "README.md")
    )
    (path,) = re.findall(r"evictlab_sidecar\s+unix:(\S+);", conf)
    assert f"--socket {path} " in unit
    assert f"--socket {path} " in readme
    (runtime,) = re.findall(r"^RuntimeDirectory=(\S+)$", unit, re.MULTILINE)
    assert path.startswith(f"/run/{runtime}/")
    (served,) = re.findall(r"sidecar serve (\S+)", unit)
    assert f"cp -r . {served}/" in readme


def test_the_readme_says_which_model_it_is(bundle):
    readme = (bundle / "README.md").read_text()
    metadata = json.loads((bundle / "metadata.json").read_text())
    assert metadata["model_sha256"] in readme
    assert '"by": "hand"' in readme
    for name in ("nginx.conf", "evictlab-sidecar.service", "module/", "parity.npz"):
        assert f"`{name}`" in readme
    assert "{{" not in readme + (bundle / "nginx.conf").read_text()


def test_a_new_model_replaces_an_old_bundle_and_spares_other_files(tmp_path):
    out = write_bundle(write_tiny_model(tmp_path / "one"), tmp_path / "bundle")
    (out / "notes.txt").write_text("mine")
    (out / "module" / "evictlab_of_old.c").write_text("/* of an older evictlab */")
    old = load_model(out).metadata["model_sha256"]
    write_bundle(write_tiny_model(tmp_path / "other", OLD), out)
    assert load_model(out).metadata["model_sha256"] != old
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "module" / "evictlab_of_old.c").exists()
    placed = {path: path.stat().st_ctime_ns for path in out.rglob("*") if path.is_file()}
    assert placed[out / "metadata.json"] == max(placed.values()), "it comes last, for a sidecar reloads by it"


def test_an_empty_folder_will_do(tmp_path):
    (tmp_path / "bundle").mkdir()
    load_model(write_bundle(write_tiny_model(tmp_path / "model"), tmp_path / "bundle"))


@pytest.mark.parametrize("kind", ["folder", "model", "file"])
def test_what_is_no_bundle_is_left_alone(kind, tmp_path):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
    elif kind == "model":
        write_tiny_model(out)
    else:
        out.write_text("years of work")
    model = write_tiny_model(tmp_path / "model")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError):
        write_bundle(model, out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_model_that_is_not_sound_is_not_bundled(tmp_path):
    model = write_tiny_model(tmp_path / "model", model_sha256="0" * 64)
    with pytest.raises(EvictlabError, match="sha256"):
        write_bundle(model, tmp_path / "bundle")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
