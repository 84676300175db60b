"""Queues: order of entry decides, requests earn at most another round."""
