"""Firestore, as the log and the other stores of the emulator and cluster profiles use it.

``client`` is one connection to one database, ``blobs`` lays bytes of any size down in documents, ``cells`` are values that are
replaced only by who has read them (``compared``: by who says what was there), ``presence`` notices that everything is gone,
``metering`` counts what is billed. docs/firestore.md says which documents there are, and what they cost.
"""
