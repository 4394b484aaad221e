"""Where functions are: by patterns, or by ports that processes of one machine choose together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drasi.environment import Environment, NotConfigured
from drasi.functions.addresses import Addresses, Ports


def test_a_pattern_names_every_function() -> None:
    addresses = Addresses({"DRASI_SOURCE_URL": "http://source-{name}.drasi.svc:8080/"})
    assert addresses.of("source", "harbour") == "http://source-harbour.drasi.svc:8080"
    with pytest.raises(NotConfigured, match="container 'default'") as caught:
        addresses.of("container", "default")
    assert "DRASI_CONTAINER_URL" in caught.value.hint


def test_ports_are_chosen_once_by_whoever_asks_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ports = set(pool.map(lambda _: Ports(tmp_path).of("source", "harbour"), range(32)))
    assert len(ports) == 1
    assert Ports(tmp_path).of("reaction", "harbour") not in ports
    assert sorted(file.name for file in tmp_path.iterdir()) == ["reaction.harbour", "source.harbour"]
    variables = {"DRASI_PORTS": str(tmp_path), "DRASI_REACTION_URL": "http://{name}"}
    assert Addresses(variables).of("source", "harbour") == f"http://127.0.0.1:{ports.pop()}"
    assert Addresses(variables).of("reaction", "harbour") == "http://harbour"


@pytest.mark.parametrize(
    ("variables", "what", "hint"),
    [
        ({"DRASI_PROFILE": "cloud"}, "no profile 'cloud'", "embedded, emulator, cluster"),
        ({"DRASI_PROFILE": "emulator", "PUBSUB_EMULATOR_HOST": "h:1"}, "where the emulators are", "FIRESTORE_EMULATOR_HOST"),
        ({"DRASI_PROFILE": "cluster", "PUBSUB_EMULATOR_HOST": "h:1"}, "PUBSUB_EMULATOR_HOST is set", "DRASI_PROFILE=emulator"),
    ],
)
def test_a_profile_that_cannot_be(variables: dict[str, str], what: str, hint: str) -> None:
    with pytest.raises(NotConfigured, match=what) as caught:
        Environment(variables)
    assert hint in caught.value.hint


def test_a_cluster_has_a_project() -> None:
    assert Environment({"DRASI_PROFILE": "cluster", "GOOGLE_CLOUD_PROJECT": "port"}).project == "port"
    with pytest.raises(NotConfigured, match="which project"):
        _ = Environment({"DRASI_PROFILE": "cluster"}).project
