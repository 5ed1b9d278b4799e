"""The tasks of the demo do what the demo says of them, whatever file they get."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import orjson
import pytest

from farm.demo import noop, sleep, spin, survey
from farm.demo.sources import find_sources


def test_a_survey_counts_hashes_and_compresses(tmp_path: Path) -> None:
    source = b"class A:\n    def f(self):\n        return 1\n\nasync def g(): pass\n"
    file = tmp_path / "a.py"
    file.write_bytes(source)
    found = survey(str(file))
    assert found["nodes"] > 8
    assert {name: found[name] for name in found if name != "nodes"} == {
        "path": str(file),
        "bytes": len(source),
        "lines": 5,
        "functions": 2,
        "classes": 1,
        "sha256": hashlib.sha256(source).hexdigest(),
        "compressed_bytes": len(zlib.compress(source, 6)),
        "problem": None,
    }


@pytest.mark.parametrize(
    "source",
    [
        b"def (",
        b"x = '\\udc80'\xff",
        b"a\0b",
        b"(" * 5000,
        b"# coding: nonsense\n",
        b"'\\d'\n",
        b"",
        b"\xef\xbb\xbfx = 1\n",
        b"-" * 100_000 + b"1",
    ],
)
def test_whatever_a_file_holds_the_result_can_be_stored(tmp_path: Path, source: bytes) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = survey(str(file))
    assert b"\\u0000" not in orjson.dumps(found)
    assert found["problem"] is None or "\n" not in found["problem"]


def test_nothing_and_a_sleep() -> None:
    assert orjson.dumps(noop({"any": 1}, named=2)) == b"{}"
    assert sleep(0.001) == {"slept_s": 0.001}


def test_a_spin_takes_processor_time() -> None:
    before = time.thread_time()
    assert spin(0.01) == {}
    assert time.thread_time() - before >= 0.01


def test_the_sources_of_this_machine_are_many_and_each_is_there_once() -> None:
    sources = find_sources()
    assert len(sources) >= 600
    assert len(set(sources)) == len(sources)
    assert sources == sorted(sources)
    assert all(path.endswith(".py") and "__pycache__" not in path for path in sources)
    assert any("/yaml/" in path for path in sources)


def test_importing_the_tasks_costs_a_subworker_nearly_nothing() -> None:
    heavy = ("ast", "hashlib", "psycopg", "orjson", "json", "yaml", "rich")
    code = f"import sys; sys.path[:0] = {sys.path!r}; import farm.demo; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
