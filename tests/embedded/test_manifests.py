"""Which files of a directory are manifests."""

from __future__ import annotations

from pathlib import Path

from drasi.embedded.manifests import Watched, files, read

QUERY = "apiVersion: v1\nkind: Query\nname: {name}\nspec: {{}}\n"


def _tree(root: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "page/d.json", ".hidden.yaml", "readme.md"):
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(QUERY.format(name=file.stem) if file.suffix != ".json" else '{"kind": "Query", "name": "c"}')


def test_by_name_without_folders_and_hidden_files(tmp_path: Path) -> None:
    _tree(tmp_path)
    assert [file.name for file in files([tmp_path])] == ["a.yml", "b.yaml", "c.json"]
    assert [file.name for file in files([tmp_path / "b.yaml", tmp_path / "page"])] == ["b.yaml", "d.json"]


def test_documents_say_where_they_are_from(tmp_path: Path) -> None:
    _tree(tmp_path)
    assert [(document.data["name"], Path(document.file).name) for document in read(files([tmp_path]))] == [
        ("a", "a.yml"),
        ("b", "b.yaml"),
        ("c", "c.json"),
    ]


def test_changed_files_are_seen_once(tmp_path: Path) -> None:
    _tree(tmp_path)
    watched = Watched([tmp_path])
    assert not watched.changed()
    (tmp_path / "b.yaml").write_text(QUERY.format(name="another"))
    assert watched.changed()
    assert not watched.changed()
    (tmp_path / "new.yaml").write_text(QUERY.format(name="new"))
    assert watched.changed()
    (tmp_path / "new.yaml").unlink()
    assert watched.changed()
