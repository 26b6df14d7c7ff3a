"""What the program declares, by field."""
