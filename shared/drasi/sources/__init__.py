"""Sources: one module per kind, found through ``registry``."""
