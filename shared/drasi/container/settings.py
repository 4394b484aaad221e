"""What can be set about a container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds and intervals of a container.

    Attributes:
        entry_bytes: A batch is closed at this size; one larger message is an entry of its own.
        queue_bytes: What may wait for a commit; beyond it messages are answered 429.
        answer_s: After this long without commit and publication a message is answered 503; it is delivered again.
        ring_events, ring_bytes: Result events kept in memory to be served.
        inline_bytes: Events up to this size travel in entries, larger ones are documents of the log.
        snapshot_entries, snapshot_bytes: A snapshot is written when the log has grown by so many entries or bytes since the last.
        snapshots_kept: So many snapshots are kept; the log is trimmed behind the oldest.
        log_retention_s, log_bytes: How far back the log is kept for readers of events; bytes None: as the log says.
        clock_ahead_ms: A change's time counts for the clock at most this far beyond the entry's instant.
        marker_s: The last part of a bootstrap is read again if its marker has not come by then.
        follow_s: A replica reads the log at least this often while it has readers; None: only when asked for what it does not have.
        rows_per_event: Rows of one ``change`` event while bootstrapping.
        idempotency_s, tombstone_s, silence_s: How long keys, positions of deleted elements, and silent watermarks are kept.
    """

    entry_bytes: int = 1_000_000
    queue_bytes: int = 64_000_000
    answer_s: float = 60.0
    ring_events: int = 10_000
    ring_bytes: int = 8_000_000
    inline_bytes: int = 262_144
    snapshot_entries: int = 5_000
    snapshot_bytes: int = 16_000_000
    snapshots_kept: int = 2
    log_retention_s: int = 604_800
    log_bytes: int | None = None
    clock_ahead_ms: int = 300_000
    marker_s: float = 10.0
    follow_s: float | None = 0.5
    rows_per_event: int = 1_000
    idempotency_s: int = 86_400
    tombstone_s: int = 3_600
    silence_s: int = 604_800
