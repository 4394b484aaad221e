"""The house: imports run one way, and the engine's face stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "shared" / "drasi"

# What each room may import. A room not named in another's list is out of its reach.
LEAVES = {"errors", "messages", "statefile", "firestore", "redaction", "project"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "messages": {"errors"},
    "statefile": {"errors"},
    "redaction": set(),
    "project": set(),
    "environment": {"errors", "project"},
    "firestore": {"errors"},
    "values": {"errors"},
    "language": {"errors", "values"},
    "plan": {"errors", "values", "language"},
    "engine": {"errors", "values", "language", "plan"},
    "continuous": {"errors", "values", "language", "plan", "engine"},
    "private_file": set(),
    "auth": {"errors", "private_file"},
    "log": LEAVES,
    "bus": LEAVES,
    "templates": {"errors"},
    "sources": {*LEAVES, "values", "bus", "templates"},
    "reactions": {*LEAVES, "values", "bus", "templates"},
    "container": {*LEAVES, "values", "language", "plan", "engine", "log", "bus"},
    "resources": {*LEAVES, "private_file", "values", "language", "plan", "sources", "reactions"},
}
TOP = {"web", "embedded", "functions", "emulate", "cli", "__main__", "__init__"}


def imports(file: Path) -> set[str]:
    """The rooms that a module imports, at its top or anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "drasi":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("drasi.")}
    return found


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_one_way() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports drasi.{other}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if room(file) not in TOP
        for other in sorted(imports(file) - {room(file)} - ALLOWED[room(file)])
    ]
    assert wrong == []


def test_nothing_below_imports_the_top() -> None:
    order = ["web", "embedded", "functions", "emulate", "cli"]
    wrong = [
        f"{file.relative_to(PACKAGE)} imports drasi.{other}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if room(file) in order
        for other in imports(file)
        if other in order and order.index(other) > order.index(room(file))
    ]
    assert wrong == []


def test_the_face_needs_the_engine_and_nothing_else() -> None:
    code = (
        "import sys; from drasi import ContinuousQuery; "
        "print(*sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert set(loaded) - {"__main__", "_distutils_hack", "google"} <= {"drasi", "msgspec", "sortedcontainers", "typing_extensions"}


def test_modules_are_not_called_by_what_they_are_not() -> None:
    forbidden = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    names = {part for file in PACKAGE.rglob("*.py") for part in file.relative_to(PACKAGE).with_suffix("").parts}
    assert names & forbidden == set()


def test_a_file_is_read_in_one_sitting() -> None:
    long = [f"{file.relative_to(ROOT)}" for file in PACKAGE.rglob("*.py") if len(file.read_text().splitlines()) > 900]
    assert long == []
