"""The logs of the containers of an installation, in Firestore: ``{collectionPrefix}/{store}`` (resources.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drasi.firestore.client import DEADLINE_S, FirestoreClient, FirestoreUnavailable, document_id
from drasi.log.firestore import KEEP_S, PROOF_S, FirestoreLog
from drasi.log.port import LogUnavailable


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of whoever has slept: a create that was proved possible reaches Firestore before an entry of its number is deleted."""

    keep_s: float = KEEP_S
    proof_s: float = PROOF_S
    deadline_s: float = DEADLINE_S

    @classmethod
    def of(cls, keep_s: float) -> Bounds:
        """Proofs are good for a sixth of that time, as they are by default; no create takes longer than one is."""
        proof_s = keep_s * PROOF_S / KEEP_S
        return cls(keep_s, proof_s, min(DEADLINE_S, proof_s))


class FirestoreLogs:
    """Finds a container's logs by its manifest.

    Args:
        client: Of the installation's database; whoever made it closes it. Stores that name another database get a client beside it,
            which ``close`` closes.
        keep_s: How long trimmed entries are kept. Less than an hour is for tests: proofs of the head and the deadline of creates
            get shorter with it.
    """

    def __init__(self, client: FirestoreClient, *, keep_s: float | None = None) -> None:
        self._bounds = Bounds() if keep_s is None else Bounds.of(keep_s)
        self._clients = {client.database: client}
        self._client = client

    def open(self, container: str, spec: Mapping[str, Any], store: str) -> FirestoreLog:
        bounds = self._bounds
        return FirestoreLog(
            self._of(spec, store),
            _path(container, spec, store),
            keep_s=bounds.keep_s,
            proof_s=bounds.proof_s,
            deadline_s=bounds.deadline_s,
        )

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
