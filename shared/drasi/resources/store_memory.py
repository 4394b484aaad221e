"""Resources in memory, for tests and for processes that forget."""

from __future__ import annotations

import copy

import msgspec

from drasi.resources.resource import Resource
from drasi.resources.store import KEPT_VERSIONS, Conflict


class MemoryResourceStore:
    """A ``ResourceStore`` that lives as long as the process."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], Resource] = {}
        self._history: dict[tuple[str, str], list[Resource]] = {}
        self._notes: dict[str, str] = {}

    async def get(self, kind: str, name: str) -> Resource | None:
        return copy.deepcopy(self._stored.get((kind, name)))

    async def of_kind(self, kind: str) -> list[Resource]:
        return [copy.deepcopy(self._stored[key]) for key in sorted(self._stored) if key[0] == kind]

    async def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        key = (resource.kind, resource.name)
        self._expect(key, expected)
        history = self._history.setdefault(key, [])
        version = history[0].version + 1 if history else 1
        stored = msgspec.structs.replace(copy.deepcopy(resource), version=version)
        self._stored[key] = stored
        history.insert(0, stored)
        del history[KEPT_VERSIONS:]
        return copy.deepcopy(stored)

    async def revise(self, resource: Resource) -> None:
        key = (resource.kind, resource.name)
        stored = self._stored.get(key)
        if stored is not None and stored.version == resource.version:
            self._stored[key] = self._history[key][0] = copy.deepcopy(resource)

    async def delete(self, kind: str, name: str, *, expected: int | None = None) -> Resource | None:
        self._expect((kind, name), expected)
        return self._stored.pop((kind, name), None)

    async def versions(self, kind: str, name: str) -> list[Resource]:
        return copy.deepcopy(self._history.get((kind, name), []))

    async def note(self, name: str) -> str | None:
        return self._notes.get(name)

    async def set_note(self, name: str, text: str | None) -> None:
        if text is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = text

    async def close(self) -> None:
        pass

    def _expect(self, key: tuple[str, str], expected: int | None) -> None:
        stored = self._stored.get(key)
        if expected is not None and expected != (stored.version if stored is not None else 0):
            raise Conflict
