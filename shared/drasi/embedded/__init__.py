"""The embedded profile: sources, query containers, reactions and management in one process on one state directory.

``system`` puts the parts together; ``serve`` is ``drasi run``: HTTP server, examples, signals. ``runtime`` does what management
asks for, ``router`` says which part answers a path, ``example`` is what a directory of manifests may bring along.
"""

from drasi.embedded.serve import serve
from drasi.embedded.system import EmbeddedSystem

__all__ = ["EmbeddedSystem", "serve"]
