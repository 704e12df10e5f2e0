"""Engines that search: compiled, lock-step, one by one; and what they have in common."""
