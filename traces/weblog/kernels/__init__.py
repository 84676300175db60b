"""Compiled loops over the bytes of an access log. Importing any module here imports numba."""
