"""Policies that remember frequencies in a sketch."""
