"""What has been seen of every source: positions, and idempotency keys of pushed events."""

from __future__ import annotations

from typing import Any

from drasi.container.chunks import Sharded

BY_ELEMENT = "@element"
"""Partition in which positions order the changes of each element by itself."""

_HOUR_MS = 3_600_000
_SILENCE_MS = 168 * _HOUR_MS
"""So long a silent partition's position is kept,"""
_TOMBSTONE_MS = _HOUR_MS
"""and the position of a deleted element,"""
_KEY_MS = 24 * _HOUR_MS
"""and an idempotency key."""


class Watermarks:
    """The highest position per source and partition, and what must be remembered beside it.

    A change at or below the watermark of its partition has been applied before. Times are instants of entries.
    """

    def __init__(self) -> None:
        self._marks: dict[str, dict[str, list[Any]]] = {}
        self._swept_ms = 0
        self.elements = Sharded("position")
        self._removed: dict[int, list[str]] = {}
        self.keys = Sharded("key")
        self._keys_by_hour: dict[int, list[str]] = {}

    def position(self, source: str, partition: str = "") -> str | None:
        mark = self._marks.get(source, {}).get(partition)
        return mark[0] if mark is not None else None

    def positions(self, source: str) -> dict[str, str]:
        return {partition: mark[0] for partition, mark in self._marks.get(source, {}).items()}

    def admit(self, source: str, partition: str, position: str, at_ms: int) -> bool:
        """Whether a change at ``position`` is new; if so, it is seen from now on."""
        marks = self._marks.get(source)
        if marks is None:
            marks = self._marks[source] = {}
        mark = marks.get(partition)
        if mark is None:
            marks[partition] = [position, at_ms]
            return True
        if position <= mark[0]:
            return False
        mark[0] = position
        mark[1] = at_ms
        return True

    def admit_element(self, source: str, element: str, position: str, *, removed: bool, at_ms: int) -> bool:
        """The same where positions order each element by itself."""
        key = f"{source}\0{element}"
        known = self.elements.get(key)
        if known is not None and position <= known[0]:
            return False
        self.elements.set(key, [position, at_ms if removed else 0])
        if removed:
            self._removed.setdefault(at_ms // _HOUR_MS, []).append(key)
        return True

    def admit_key(self, source: str, key: str, at_ms: int) -> bool:
        """Whether a pushed event's idempotency key has not been seen for a day."""
        text = f"{source}\0{key}"
        if self.keys.get(text) is not None:
            return False
        self.keys.set(text, at_ms)
        self._keys_by_hour.setdefault(at_ms // _HOUR_MS, []).append(text)
        return True

    def expire(self, at_ms: int) -> None:
        """Forgets what is too old; called with every entry, works once an hour."""
        hour = at_ms // _HOUR_MS * _HOUR_MS
        if hour <= self._swept_ms:
            return
        self._swept_ms = hour
        for source, marks in list(self._marks.items()):
            # The partition of a source without partitions is its one stream: silence there means that nothing happened.
            for partition in [name for name, mark in marks.items() if name and mark[1] < at_ms - _SILENCE_MS]:
                del marks[partition]
            if not marks:
                del self._marks[source]
        for bucket in [bucket for bucket in self._keys_by_hour if (bucket + 1) * _HOUR_MS <= at_ms - _KEY_MS]:
            for key in self._keys_by_hour.pop(bucket):
                self.keys.drop(key)
        for bucket in [bucket for bucket in self._removed if (bucket + 1) * _HOUR_MS <= at_ms - _TOMBSTONE_MS]:
            for key in self._removed.pop(bucket):
                known = self.elements.get(key)
                if known is not None and known[1] and known[1] // _HOUR_MS == bucket:
                    self.elements.drop(key)

    def forget(self, source: str) -> None:
        """The source was deleted: if one of its name comes again, its positions begin anew."""
        self._marks.pop(source, None)
        prefix = f"{source}\0"
        for sharded in (self.elements, self.keys):
            for key in [key for key, _ in sharded.items() if key.startswith(prefix)]:
                sharded.drop(key)

    def plain(self) -> Any:
        return [self._marks, self._swept_ms]

    def restore(self, plain: Any) -> None:
        self._marks, self._swept_ms = plain

    def restored(self) -> None:
        """The chunks are loaded, too."""
        self._keys_by_hour.clear()
        for key, at_ms in self.keys.items():
            self._keys_by_hour.setdefault(at_ms // _HOUR_MS, []).append(key)
        self._removed.clear()
        for key, (_, at_ms) in self.elements.items():
            if at_ms:
                self._removed.setdefault(at_ms // _HOUR_MS, []).append(key)
