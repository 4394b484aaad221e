"""The four functions as processes: each is made of the library's parts as an environment says (``drasi.environment``).

``parts`` is what they stand on (bus, logs, memory), ``addresses`` where the others are, ``admission`` who may come in; ``query``,
``source``, ``reaction`` and ``management`` are one function each. ``runtime`` is how management runs what it manages: through
messages and Firestore.
"""
