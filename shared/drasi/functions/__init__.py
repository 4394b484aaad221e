"""The four functions as processes: each is made of the library's parts as an environment says (``drasi.environment``).

``applications`` is what ``functions/*/main.py`` expose. ``query``, ``source``, ``reaction`` and ``management`` are one function
each; ``parts`` is what they stand on (bus, logs, memory), ``watched`` what they say when that is gone, ``addresses`` where the
others are, ``admission`` who may come in. ``runtime`` is how management runs what it manages: through messages and Firestore.
"""
