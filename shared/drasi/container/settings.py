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
        log_bytes: How much of the log is kept for readers of events, for a week; None: as the log says.
        marker_s: The last part of a bootstrap is read again if its marker has not come by then.
        follow_s: A replica reads the log at least this often while it has readers; None: only when asked for what it does not have.
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
    log_bytes: int | None = None
    marker_s: float = 10.0
    follow_s: float | None = 0.5
