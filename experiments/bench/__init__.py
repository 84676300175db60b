"""Speed, measured against libCacheSim and against loops written by hand: ``python -m evictlab.experiments.bench``."""
