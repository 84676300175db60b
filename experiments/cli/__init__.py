"""The command line, `evictlab`; see `evictlab.experiments.cli.main`."""
