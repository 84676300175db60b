"""Reuse distances and hit densities: how soon a request is to be expected."""
