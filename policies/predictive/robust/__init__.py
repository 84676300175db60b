"""Combinations that stay near the best of their parts."""
