"""What differs between the specs and a cloud: looked at, told apart by kind, with the way back for each."""
