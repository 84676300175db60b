"""What is predicted, beside the real thing: a study per file, run by ``evictlab check``."""
