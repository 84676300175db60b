"""Policies that wait for a slot to be needed again."""
