"""Where other functions are: patterns of URLs in a cluster, ports of this machine in development."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from drasi.environment import NotConfigured

Place = Literal["source", "container", "reaction"]

HOST: Final = "127.0.0.1"
_VARIABLES: Final = {"source": "DRASI_SOURCE_URL", "container": "DRASI_CONTAINER_URL", "reaction": "DRASI_REACTION_URL"}
_PORTS: Final = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, so that nobody takes a port between its choice and its use."""


class Addresses:
    """The URL of each function, as the environment says."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._ports = Ports(Path(variables["DRASI_PORTS"])) if variables.get("DRASI_PORTS") else None

    def of(self, place: Place, name: str) -> str:
        """Without a slash at its end.

        Raises:
            NotConfigured: Nobody said.
        """
        return self.matching(_VARIABLES[place], name) or self._local(place, name)

    def matching(self, variable: str, name: str) -> str | None:
        """The URL by the pattern in a variable; None: it is not set."""
        pattern = self._variables.get(variable)
        return pattern.replace("{name}", name).rstrip("/") if pattern else None

    def _local(self, place: Place, name: str) -> str:
        if self._ports is None:
            raise NotConfigured(
                f"nobody said where {place} '{name}' is", hint=f"set {_VARIABLES[place]}, for instance to http://{{name}}:8080"
            )
        return f"http://{HOST}:{self._ports.of(place, name)}"


class Ports:
    """The ports of the functions of one machine: whoever asks first for one that has none chooses it, for all processes.

    Args:
        directory: Has a file for each; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, place: str, name: str) -> int:
        """The port of a function."""
        file = self._directory / f"{place}.{name}"
        try:
            return int(file.read_text())
        except FileNotFoundError:
            self._directory.mkdir(parents=True, exist_ok=True)
            return self._choose(file)

    def _choose(self, file: Path) -> int:
        draft = self._directory / f".{os.getpid()}-{random.getrandbits(64):016x}"
        port = free_port()
        draft.write_text(str(port))
        try:
            # Whole or not at all, and only one of those who choose at the same time.
            os.link(draft, file)
        except FileExistsError:
            return int(file.read_text())
        finally:
            draft.unlink()
        return port


def free_port() -> int:
    """A port that nobody listens on.

    Raises:
        NotConfigured: There is none.
    """
    for _ in range(200):
        port = random.choice(_PORTS)  # noqa: S311 -- any will do
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise NotConfigured(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free", hint="stop what listens there")
