"""The log: numbered entries, each created once, and the documents beside them.

``port`` says what a log guarantees, ``memory`` and ``sqlite`` keep it, ``snapshots`` is the form in which a state is kept
in a log's documents.
"""
