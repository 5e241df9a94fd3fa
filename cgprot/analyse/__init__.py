"""Looking at frames, simulated or mapped alike."""
