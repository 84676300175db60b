"""Many caches that are replayed side by side and stop wherever one of them has to evict: what the environments stand on."""
