"""Other programs' files and interfaces, one file a client."""
