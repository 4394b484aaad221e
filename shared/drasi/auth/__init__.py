"""Tokens: what they allow (``scopes``), what signs them (``keys``), how they go out (``issue``) and come in (``verify``)."""
