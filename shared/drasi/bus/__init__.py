"""Messaging between functions: one port, an implementation per profile."""
