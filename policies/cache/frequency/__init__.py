"""How often: policies that count requests."""
