"""Recency: the time of the last requests decides."""
