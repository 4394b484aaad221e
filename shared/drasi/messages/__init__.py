"""What passes between functions: the wire forms as typed structures, and nothing else.

``changes`` a source's changes, ``results`` a query's result events, ``control`` messages to a container, ``envelope`` the Pub/Sub
push around each of them. Field names are those of the wire.
"""
