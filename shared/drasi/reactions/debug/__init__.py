"""``Debug``: a page that shows each query's rows as they change, its last differences, lag and errors.

``index.html``, ``debug.js`` and ``debug.css`` stand beside; they load nothing from elsewhere.
"""

from drasi.reactions.debug.kind import KIND

__all__ = ["KIND"]
