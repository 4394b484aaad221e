"""A process (or more) for each source, query container and reaction that is stored: what Kubernetes does in a cluster."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drasi.emulate.child import Child, Say, python
from drasi.functions.addresses import HOST, Ports
from drasi.resources.config_value import secrets_of
from drasi.resources.resource import QUERY_CONTAINER, REACTION, REACTION_PROVIDER, SOURCE, SOURCE_PROVIDER, Resource
from drasi.resources.secrets import Secrets

_TARGETS: Final = {SOURCE: ("source", "source"), QUERY_CONTAINER: ("query", "container"), REACTION: ("reaction", "reaction")}
_PROVIDERS: Final = {SOURCE: SOURCE_PROVIDER, REACTION: REACTION_PROVIDER}
_SALT: Final = os.urandom(16)
_BACKLOG = 512


@dataclass(slots=True)
class _Member:
    manifest: str
    secrets: bytes
    children: list[Child]
    sockets: list[socket.socket]


class Fleet:
    """The processes of functions, brought to what the resources ask for.

    All instances of one function listen on one port, each on a socket of its own (the system spreads connections over them); the
    sockets are ours, so who connects while a process starts again waits for it instead of being refused.

    Args:
        functions: The folder with a folder for each function's ``main.py``.
        directory: For manifests and ports.
        environment: Of every process.
        say: Takes their lines.
        secrets: Where functions find what their manifests refer to: one that changes restarts them.
    """

    def __init__(
        self, functions: Path, directory: Path, environment: Mapping[str, str], say: Say, secrets: Secrets | None = None
    ) -> None:
        self._functions = functions
        self._manifests = directory / "manifests"
        self._environment = {**environment, "DRASI_PORTS": str(directory / "ports")}
        self._ports = Ports(directory / "ports")
        self._say = say
        self._secrets = secrets
        self._of_management: dict[str, str] = {}
        self._members: dict[tuple[str, str], _Member] = {}

    @property
    def children(self) -> list[Child]:
        """Every process, management first."""
        return [child for member in self._members.values() for child in member.children]

    def of(self, place: str, name: str) -> list[Child]:
        """The processes of one function."""
        member = self._members.get((place, name))
        return list(member.children) if member is not None else []

    def url(self, place: str, name: str) -> str:
        return f"http://{HOST}:{self._ports.of(place, name)}"

    async def start_management(self, variables: Mapping[str, str] | None = None) -> str:
        """Starts the management function and returns its URL when it is ready.

        Args:
            variables: More for its environment.
        """
        self._of_management = dict(variables or {})
        await self._start("management", "management", "management", "", 1)
        (child,) = self.of("management", "management")
        await child.ready()
        return self.url("management", "management")

    async def arrange(self, resources: Iterable[Resource]) -> None:
        """Starts what there is to be, stops what there is not to be any more, restarts what has changed."""
        resources = list(resources)
        wanted: dict[tuple[str, str], tuple[str, str, int, bytes]] = {}
        for resource in resources:
            if resource.kind in _TARGETS and not resource.stopped:
                target, place = _TARGETS[resource.kind]
                count = int(resource.spec.get("queryHostCount") or 1) if resource.kind == QUERY_CONTAINER else 1
                wanted[place, resource.name] = (target, _manifest(resource, resources), count, self._secret(resource))
        for place, name in [key for key in self._members if key not in wanted and key[0] != "management"]:
            await self._stop(place, name)
            self._say(name, "stopped: its resource is deleted, or stopped")
        for (place, name), (target, manifest, count, secrets) in wanted.items():
            member = self._members.get((place, name))
            if member is not None and (member.manifest, member.secrets, len(member.children)) != (manifest, secrets, count):
                if member.secrets != secrets:
                    self._say(name, "a secret of it has changed: it is started again")
                await self._stop(place, name)
                member = None
            if member is None:
                await self._start(target, place, name, manifest, count, secrets)

    async def ready(self) -> None:
        """Returns when every process has said that it is ready."""
        await asyncio.gather(*(child.ready() for child in self.children))

    async def stop(self) -> None:
        """Ends all, management last."""
        managed = [key for key in self._members if key[0] != "management"]
        await asyncio.gather(*(self._stop(place, name) for place, name in managed))
        for place, name in list(self._members):
            await self._stop(place, name)

    def _secret(self, resource: Resource) -> bytes:
        """What its secrets are, in a form that does not tell them.

        Raises:
            SecretsUnreadable
        """
        if self._secrets is None:
            return b""
        digest = hashlib.blake2b(key=_SALT)
        for found in secrets_of(resource.spec):
            value = self._secrets.get(found.name, found.key)
            digest.update(repr((found.name, found.key, value)).encode())
        return digest.digest()

    async def _start(self, target: str, place: str, name: str, manifest: str, count: int, secrets: bytes = b"") -> None:
        file = self._manifests / f"{place}.{name}.json"
        if manifest:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(manifest)
        sockets = [self._listen(self._ports.of(place, name)) for _ in range(count)]
        children = []
        for number, sock in enumerate(sockets):
            environment = {**self._environment, "DRASI_INSTANCE": str(number)}
            if place == "management":
                environment |= self._of_management
            if manifest:
                environment["DRASI_MANIFEST"] = str(file)
            main = str(self._functions / target / "main.py")
            command = python("drasi.emulate.served", main, target, str(sock.fileno()))
            title = name if target in (name, "source", "reaction") else f"{target} {name}"
            title = title if count == 1 else f"{title}/{number}"
            children.append(Child(title, command, environment, self._say, descriptors=[sock.fileno()]))
        self._members[place, name] = _Member(manifest, secrets, children, sockets)
        await asyncio.gather(*(child.start() for child in children))

    async def _stop(self, place: str, name: str) -> None:
        member = self._members.pop((place, name))
        await asyncio.gather(*(child.stop() for child in member.children))
        for sock in member.sockets:
            sock.close()

    def _listen(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((HOST, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        return sock


def _manifest(resource: Resource, resources: Iterable[Resource]) -> str:
    """The file that is mounted: the resource, and its provider if somebody applied it."""
    documents = [resource]
    provider = _PROVIDERS.get(resource.kind)
    kind = str(resource.spec.get("kind", "")).strip()
    documents += [each for each in resources if each.kind == provider and each.name == kind]
    return "\n---\n".join(json.dumps(document(each), indent=1, sort_keys=True) for each in documents) + "\n"


def document(resource: Resource) -> dict[str, Any]:
    """A resource as somebody would apply it."""
    return {"apiVersion": "v1", "kind": resource.kind, "name": resource.name, "spec": resource.spec}
