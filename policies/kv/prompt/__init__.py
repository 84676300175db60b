"""Policies that rank the prompt by its last queries."""
