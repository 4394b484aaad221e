"""``SQLite``: triggers write every change into a table of the database itself, and a poll reads them.

``catalog`` what tables there are; ``capture`` the change table and its triggers; ``mapping`` rows to elements; ``origin`` the
database's own thread; ``snapshot`` parts of a snapshot; ``source`` the kind.
"""
