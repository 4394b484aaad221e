from __future__ import annotations

import json
from pathlib import Path

import pytest

from drasi.resources.config_value import SecretReference, inline, resolve, secret_references
from drasi.resources.secrets import LocalSecrets, SecretsUnreadable, variable_name


def test_references_are_replaced_and_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRASI_SECRET_PORT_DB_PASSWORD", "s3cret")
    monkeypatch.setenv("HARBOUR", "oslo")
    missing: list[str] = []
    value = {
        "password": {"kind": "Secret", "name": "port-db", "key": "password"},
        "token": {"kind": "Secret", "name": "port-db", "key": "token"},
        "name": {"kind": "Env", "name": "HARBOUR"},
        "gone": {"kind": "Env", "name": "NOT_SET_ANYWHERE"},
        "list": {"kind": "List", "value": [{"kind": "Integer", "value": 3}, "a"]},
        "object": {"kind": "Pod", "apiVersion": "v1"},
    }
    assert resolve(value, LocalSecrets(), missing) == {
        "password": "s3cret",
        "token": None,
        "name": "oslo",
        "gone": None,
        "list": [3, "a"],
        "object": {"kind": "Pod", "apiVersion": "v1"},
    }
    assert missing == ["secret 'port-db', key 'token'", "environment variable 'NOT_SET_ANYWHERE'"]


def test_inline_forms_are_what_they_hold_and_references_stay() -> None:
    reference = {"kind": "Secret", "name": "a", "key": "b"}
    assert inline({"x": {"kind": "Inline", "value": [1, {"kind": "Boolean", "value": True}]}, "y": reference}) == {
        "x": [1, True],
        "y": reference,
    }


def test_secret_references_at_any_depth() -> None:
    value = [{"a": {"kind": "Secret", "name": "n", "key": "k"}}, {"kind": "Secret", "name": "m", "key": "k"}]
    assert list(secret_references(value)) == [SecretReference("n", "k"), SecretReference("m", "k")]


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"port-db": {"password": "of the file", "user": "drasi"}}))
    monkeypatch.setenv(variable_name("port-db", "password"), "of the environment")
    secrets = LocalSecrets(tmp_path)
    assert secrets.get("port-db", "password") == "of the environment"
    assert secrets.get("port-db", "user") == "drasi"
    assert secrets.get("port-db", "absent") is None
    assert secrets.get("absent", "user") is None
    assert LocalSecrets(tmp_path / "nowhere").get("a", "b") is None


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(SecretsUnreadable, match="cannot read"):
        LocalSecrets(tmp_path).get("a", "b")
