"""Solvers on plain arrays: nothing here knows parameter names, lmfit or tables."""
