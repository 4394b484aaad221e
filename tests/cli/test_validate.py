from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Drasi
from tests.conftest import SHARED
from tests.web.managed import ALL, QUERY, SOURCE


def test_all_problems_with_file_line_and_column(drasi: Drasi, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(SOURCE.lstrip() + "tga: x\n---\n" + QUERY.lstrip().replace("RETURN c.value", "RETURN d.value"))
    assert drasi("validate", str(file)) == 1
    assert (
        f"{file}:5:1: error: Source/clock: UnknownField: tga: unknown field\n    5 | tga: x\n      | ^ did you mean 'tag'?"
        in drasi.out
    )
    assert f"{file}:12:10: error: ContinuousQuery/ticks: QueryError: spec.query: SyntaxError: UndefinedVariable: " in drasi.out
    assert "    1 | MATCH (c:Counter) RETURN d.value AS value" in drasi.out
    assert drasi.out.splitlines()[-1] == "2 documents, 2 errors, 0 warnings"


def test_warnings_fail_only_if_asked_to(drasi: Drasi, tmp_path: Path) -> None:
    (tmp_path / "query.yaml").write_text(QUERY)
    assert drasi("validate", str(tmp_path)) == 0
    assert "warning: ContinuousQuery/ticks: MissingSource: " in drasi.out
    assert drasi("validate", "--strict", str(tmp_path)) == 1
    (tmp_path / "query.yaml").write_text(ALL)
    assert drasi("validate", "--strict", str(tmp_path)) == 0
    assert drasi.out == "3 documents, 0 errors, 0 warnings\n"


def test_as_data(drasi: Drasi, tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text("a: [")
    assert drasi("validate", str(tmp_path), "--output", "json") == 1
    (document,) = json.loads(drasi.out)
    assert [error["code"] for error in document["errors"]] == ["InvalidYaml"]


def test_nothing_to_validate(drasi: Drasi, tmp_path: Path) -> None:
    assert drasi("validate", str(tmp_path)) == 1
    assert drasi.err.startswith("Error: no manifests found in ")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the test data is not there; set DRASI_SHARED")
def test_a_tutorial(drasi: Drasi) -> None:
    assert drasi("validate", str(SHARED / "tutorials" / "building-comfort" / "manifests")) == 0
