"""The source kind ``PostgreSQL``: logical replication read over SQL (connectors.md sections 1 to 3).

``connection`` reaches the database, ``catalog`` says what tables there are, ``publication`` and ``slot`` are what the source makes
in the database, ``pgoutput`` decodes what the slot holds, ``types`` and ``mapping`` make elements of rows, ``assembly`` makes
transactions of messages, ``derived`` finds values that the stream leaves out, ``snapshot`` reads tables at an exact position,
``source`` runs it all.
"""
