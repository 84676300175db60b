"""Recorders: run the real thing and write down, request by request, what it did."""
