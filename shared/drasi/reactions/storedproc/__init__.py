"""The reaction kind ``StoredProc``: a command of a database per row, values bound, never written into the text.

``command`` makes statements of what the manifest says, ``commands`` reads which holds for which query and operation, ``delivery``
runs them, an event at a time in one transaction with its sequence, ``kind`` is what the registry knows.
"""
