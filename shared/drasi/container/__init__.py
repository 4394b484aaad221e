"""The query container: a deterministic state machine over a log.

``machine`` is that state machine, without I/O and without a clock: the same entries give the same events, byte for byte. Around it
``writer`` commits entries, ``publisher`` publishes what they gave, ``snapshot`` keeps the state, ``bootstrap`` reads sources,
``tail`` serves events; ``container`` puts them together.
"""

from drasi.container.container import Container
from drasi.container.port import SnapshotPart, SnapshotReader, SourceMissing
from drasi.container.settings import Settings

__all__ = ["Container", "Settings", "SnapshotPart", "SnapshotReader", "SourceMissing"]
