"""The trained network for simulation: tables instead of edge networks, compiled loops, no autograd."""
