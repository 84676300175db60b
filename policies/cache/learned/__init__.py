"""Policies that a model was trained for; none yet."""
