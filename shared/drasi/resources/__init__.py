"""Manifests: text to documents, documents to resources, and where resources are kept.

``load`` text → documents with places · ``validate`` documents → errors, warnings, resources (one module per concern: ``names``,
``connectors``, ``providers``, ``containers``, ``queries``, ``query_text``, ``middleware`` …) · ``store`` the port, and
``store_memory``, ``store_sqlite`` · ``apply`` the order and the result of applying.
"""
