"""The mistakes that `make mutants` plants still fit the sources, and their tests are still there."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.all import ALL
from tests.mutants.copy import ROOT
from tests.mutants.mutation import Mutation


@pytest.mark.parametrize("mutation", ALL, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_in_one_place_and_its_test_is_there(mutation: Mutation, tmp_path: Path) -> None:
    copied = tmp_path / mutation.file
    copied.parent.mkdir(parents=True)
    copied.write_text((ROOT / mutation.file).read_text())
    mutation.apply(tmp_path)
    if copied.suffix == ".py":
        compile(copied.read_text(), mutation.file, "exec")
    file, _, name = mutation.caught_by.partition("::")
    found = [node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)]
    assert name in found


def test_there_are_enough_and_each_is_another() -> None:
    assert len(ALL) >= 20
    assert Counter(mutation.name for mutation in ALL).most_common(1)[0][1] == 1
