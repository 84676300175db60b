"""What the simulator predicts, beside what the real thing does."""
