"""Policies that look at positions only."""
