"""The time of the next request, as predicted with each request."""
