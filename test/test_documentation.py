"""Tests for docs/ and README.md: what they name exists, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pose_perception.human.estimators.registry import ESTIMATORS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_estimator_has_its_section_and_its_row() -> None:
    text = (ROOT / "docs" / "estimators.md").read_text()
    titles = ", ".join(re.findall(r"^### (.+)$", text, re.MULTILINE)).split(", ")
    assert titles == list(ESTIMATORS)
    table = text.split("<!-- table")[1].split("<!-- end")[0]
    rows = re.findall(r"^\| ([\w-]+)(?:, \w+)? \|", table, re.MULTILINE)
    assert list(dict.fromkeys(rows)) == ["estimator", *ESTIMATORS]
