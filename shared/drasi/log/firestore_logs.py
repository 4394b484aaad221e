"""The logs of the containers of an installation, in Firestore: ``{collectionPrefix}/{store}`` (resources.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drasi.firestore.client import FirestoreClient, FirestoreUnavailable, document_id
from drasi.log.firestore import FirestoreLog
from drasi.log.port import LogUnavailable


class FirestoreLogs:
    """Finds a container's logs by its manifest.

    Args:
        client: Of the installation's database; whoever made it closes it. Stores that name another database get a client beside it,
            which ``close`` closes.
    """

    def __init__(self, client: FirestoreClient) -> None:
        self._clients = {client.database: client}
        self._client = client

    def open(self, container: str, spec: Mapping[str, Any], store: str) -> FirestoreLog:
        return FirestoreLog(self._of(spec, store), _path(container, spec, store))

    async def exists(self, container: str, spec: Mapping[str, Any], store: str) -> bool:
        """Whether there is a log.

        Raises:
            LogUnavailable
        """
        path = _path(container, spec, store)
        try:
            found, _ = await self._of(spec, store).read([path], fields=["format"])
        except FirestoreUnavailable as error:
            raise LogUnavailable(error.message, hint=error.hint) from error
        return path in found

    async def close(self) -> None:
        for client in self._clients.values():
            if client is not self._client:
                await client.close()

    def _of(self, spec: Mapping[str, Any], store: str) -> FirestoreClient:
        database = str(spec["storage"][store].get("database") or self._client.database)
        if database not in self._clients:
            self._clients[database] = self._client.beside(database)
        return self._clients[database]


def _path(container: str, spec: Mapping[str, Any], store: str) -> str:
    prefix = str(spec["storage"][store].get("collectionPrefix") or f"drasi-{container}")
    return f"{document_id(prefix)}/{document_id(store)}"
