"""Adaptive: several ways to order the cache at once, weighed by what their ghosts teach."""
