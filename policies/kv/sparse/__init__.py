"""Policies that evict nothing and read little."""
