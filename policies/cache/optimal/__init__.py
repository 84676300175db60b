"""Policies that know the future: what is possible at best."""
