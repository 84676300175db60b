"""Learning from replays: networks, a double DQN that also learns from victims it did not choose, and export."""
