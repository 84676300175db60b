"""Reuse distances and hit densities: how long until the next request, and is it worth the wait?"""
