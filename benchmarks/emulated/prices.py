"""List prices, and from what was counted to what it costs.

As Google's pages had them for the region us-central1 (Iowa) in the middle of 2025, in US dollars, beyond what is free. Look them up
before you rely on them; they are in this one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DATE: Final = "2025-06"
FIRESTORE: Final = "https://cloud.google.com/firestore/pricing"
PUBSUB: Final = "https://cloud.google.com/pubsub/pricing"
CLOUD_RUN: Final = "https://cloud.google.com/run/pricing"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for ``per`` units."""

    what: str
    dollars: float
    per: int
    source: str

    def of(self, count: float) -> float:
        return count * self.dollars / self.per


READ: Final = Price("Firestore: documents read", 0.03, 100_000, FIRESTORE)
WRITE: Final = Price("Firestore: documents written", 0.09, 100_000, FIRESTORE)
DELETE: Final = Price("Firestore: documents deleted", 0.01, 100_000, FIRESTORE)
STORED: Final = Price("Firestore: a GiB stored for a month", 0.15, 1, FIRESTORE)
THROUGHPUT: Final = Price("Pub/Sub: bytes published and delivered, 1,000 a request at least", 40.0, 2**40, PUBSUB)
REQUEST: Final = Price("Cloud Run: requests (where functions run there and are billed by request)", 0.40, 1_000_000, CLOUD_RUN)
CPU: Final = Price("Cloud Run: seconds of a CPU (billed by request)", 0.000024, 1, CLOUD_RUN)

ALL: Final = (READ, WRITE, DELETE, STORED, THROUGHPUT, REQUEST, CPU)


@dataclass(frozen=True, slots=True)
class Used:
    """What something used, per change or for any number of them.

    Attributes:
        entries: Of the log; each is deleted some time later.
        billed_bytes: Of Pub/Sub, publishing and pushes.
        messages, pushes: Of Pub/Sub.
    """

    reads: float
    writes: float
    entries: float
    messages: float
    pushes: float
    billed_bytes: float

    def times(self, factor: float) -> Used:
        return Used(
            self.reads * factor,
            self.writes * factor,
            self.entries * factor,
            self.messages * factor,
            self.pushes * factor,
            self.billed_bytes * factor,
        )

    @property
    def firestore(self) -> float:
        """Dollars. Every entry of the log that is written is deleted once."""
        return READ.of(self.reads) + WRITE.of(self.writes) + DELETE.of(self.entries)

    @property
    def pubsub(self) -> float:
        """Dollars."""
        return THROUGHPUT.of(self.billed_bytes)

    @property
    def requests(self) -> float:
        """Dollars, where functions are billed by request."""
        return REQUEST.of(self.pushes)
