"""One file a verb: its options and a thin handler; heavy imports inside the handler."""
