"""What all readers share: bytes behind any compression, text columns, fixed records, recognition."""
