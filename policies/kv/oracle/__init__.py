"""Bounds that know the future."""
