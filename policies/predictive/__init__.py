"""Learning-augmented paging: policies that trust predictions, and what keeps them from trusting too much."""
