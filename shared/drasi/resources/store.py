"""Where resources are kept: the port, and what goes wrong."""

from __future__ import annotations

from typing import Final, Protocol

from drasi.errors import DrasiError
from drasi.resources.resource import Resource

KEPT_VERSIONS: Final = 20


class Conflict(DrasiError):
    """The resource is not at the version that the writer had read."""

    code = "Conflict"

    def __init__(self) -> None:
        super().__init__("changed meanwhile; read it again")


class StoreUnavailable(DrasiError):
    """The store cannot be read or written at the moment."""

    code = "StoreUnavailable"
    retryable = True


class ResourceStore(Protocol):
    """Resources by kind and name, with a version that rises at every change.

    An implementation guarantees, and ``tests/resources/store_contract.py`` checks:

    * ``put`` and ``delete`` with ``expected`` take effect only if that is the stored version at that moment (0: absent).
    * A version number is never used again for one kind and name, also not after a delete.
    * What ``put`` has returned is there after a crash (not: the memory store).
    """

    async def get(self, kind: str, name: str) -> Resource | None: ...

    async def of_kind(self, kind: str) -> list[Resource]:
        """All of a kind, by name."""
        ...

    async def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        """Stores it under the next version, and returns it with that.

        Raises:
            Conflict: ``expected`` is given and is not the stored version.
        """
        ...

    async def revise(self, resource: Resource) -> None:
        """Replaces what is stored without a new version (paused, warnings). Nothing, if that version is not the stored one."""
        ...

    async def delete(self, kind: str, name: str, *, expected: int | None = None) -> Resource | None:
        """Removes it and returns what was there; None if nothing was.

        Raises:
            Conflict: ``expected`` is given and is not the stored version.
        """
        ...

    async def versions(self, kind: str, name: str) -> list[Resource]:
        """The last ``KEPT_VERSIONS`` versions, newest first, also of a deleted resource."""
        ...

    async def note(self, name: str) -> str | None:
        """A small text that management keeps beside the resources."""
        ...

    async def set_note(self, name: str, text: str | None) -> None: ...

    async def close(self) -> None: ...
