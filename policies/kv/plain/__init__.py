"""Policies that look at nothing."""
