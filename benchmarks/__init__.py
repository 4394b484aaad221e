"""Figures of the README and the peers they stand beside: ``make bench``."""
