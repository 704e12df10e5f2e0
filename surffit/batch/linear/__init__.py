"""Engines for models that are linear in all that varies: nothing is searched."""
