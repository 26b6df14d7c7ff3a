"""Taking over what was made by hand: what is found becomes entries, an import file, proposals and a report."""
