"""Cache policies, a folder per family, a file per policy."""
