"""Learning a potential from mapped forces."""
