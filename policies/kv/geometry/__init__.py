"""Policies that look at keys and values, not at attention."""
