"""Policies of web caches applied to tokens."""
