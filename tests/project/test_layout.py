"""The house rules that a machine can check: layers, packaging, public names, cheap imports."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib

import pytest

from conftest import ROOT

PARTS = ["traces", "policies", "sim", "rl", "experiments"]


def test_imports_run_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as lint; lint()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_upward_import_would_be_noticed(tmp_path):
    """The contract lists all five folders, in the order of the design."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = config["contracts"]
    assert contract["type"] == "layers"
    assert contract["layers"] == [f"evictlab.{part}" for part in reversed(PARTS)]


def test_every_package_is_shipped():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        "evictlab." + ".".join(init.parent.relative_to(ROOT).parts)
        for part in PARTS
        for init in (ROOT / part).rglob("__init__.py")
    }
    assert listed == found


@pytest.mark.parametrize("part", PARTS[1:])
def test_a_bare_import_of_a_folder_fails_loudly(part):
    done = subprocess.run(
        [sys.executable, "-c", f"import {part}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


PUBLIC = {
    "traces": "Account Batch EvictlabError FORMATS FormatError Provenance RequestTrace Scan Size TraceError TraceFacts "
    "UnitError UsageError format_bytes format_count format_duration open_reader open_trace parse_duration parse_size "
    "sample_objects scan time_slice trace_facts train_test write_trace",
    "policies": "Policy PolicySpec Setting all_specs helper kernels parse_policy policy policy_names spec_of weight",
    "traces.attention": "AttentionRequest AttentionTrace LayerInfo LayerTensors Manifest Steps Verification open_attention "
    "random_attention rotate softmax_sums verify_attention write_attention",
    "traces.record.attention": "Model ModelConfig fetch_smollm2 find_smollm2 load_hugging_face load_model load_tokenizer "
    "record_attention",
    "policies.kv": "Evict FutureError KVPolicy KVSpec Layer Merge Move Needs Pin Prompt PromptScorer Protect PruneChannels "
    "Quantise Reposition Rotary ScoredSession Select Session Setting Step StepScorer UndeclaredError all_kv_specs kv_policy "
    "kv_policy_names kv_spec load_kv_policy parse_kv_policy",
    "sim": "Job Result replay",
    "sim.attention": "ActionError ActionLog AttentionRun AttentionTable Budget Engine LayerPrompt PasskeyBench RecallBench "
    "Regret prepare regret replay_attention sweep_attention",
    "sim.attention.recall": "CHECKPOINT Config Episodes Prefill RecallModel RecallTask VOCABULARY accuracy",
    "sim.proxy": "CacheManager Origin ProxyConfig ProxyResult ProxyTable SYNC keys_zone_nodes simulate_proxy sweep_proxy",
    "sim.curves": "Curve curve lru_curve miniature_curve plot_curves shards_curve",
    "rl": "",
    "experiments": "",
}
"""What users may rely on; a change here is a line in the changelog."""


@pytest.mark.parametrize("part", PUBLIC)
def test_public_names_are_these_and_exist(part):
    module = importlib.import_module(f"evictlab.{part}")
    assert sorted(module.__all__) == sorted(PUBLIC[part].split())
    for name in module.__all__:
        assert hasattr(module, name)


@pytest.mark.parametrize("part", ["traces", "policies", "sim", "rl", "experiments"])
def test_importing_a_layer_is_cheap(part):
    heavy = "{'numba', 'pandas', 'pyarrow', 'matplotlib', 'torch', 'ray', 'scipy'}"
    code = f"import sys, evictlab.{part}; found = {heavy} & set(sys.modules); sys.exit(', '.join(found) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
