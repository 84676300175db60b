"""What the documents show is what happens: code blocks are files, console blocks are run."""

from __future__ import annotations

import re

import pytest

from evictlab.experiments.readme import renew, without_clocks

from conftest import ROOT

FILE_BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_code_blocks_are_the_files_they_name(document):
    for path, shown in FILE_BLOCK.findall((ROOT / document).read_text()):
        assert shown == (ROOT / path).read_text(), f"{document} shows an outdated {path}"


def test_readme_shows_what_happens():
    text = (ROOT / "README.md").read_text()
    assert without_clocks(renew(text)) == without_clocks(text), (
        "README.md is outdated; renew it: python -m evictlab.experiments.readme README.md"
    )
