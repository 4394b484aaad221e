"""The oracle: every query evaluated from scratch over the graph at hand.

Simple and slow on purpose, and independent of the engine: of the library it knows the syntax tree alone. It has its own
equality, equivalence, order and arithmetic, because Python's ``==`` is none of Cypher's (``1 == True``, NaN, nested lists).

- ``graph``: elements and the changes to them (language.md section 3.2);
- ``values``: equality, order, equivalence (section 7.3, 7.4), text of values;
- ``expressions``, ``operators``, ``functions``: one row's expressions (sections 7.2, 8);
- ``matching``: all assignments of a MATCH (section 3.1);
- ``aggregates``: what a group's rows amount to (section 8.6);
- ``answer``: clauses over bags of rows, with identities and errors (sections 2, 5);
- ``strict``: equal in type and value, which is what a difference goes by.
"""
