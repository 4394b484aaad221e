"""Cypher values: equality, equivalence, order, operators, JSON."""
