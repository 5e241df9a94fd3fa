"""Closing the loop: simulate, pick what the model does not know, label it, train on."""
