"""Policies that add up the attention a slot was given."""
