"""The command line `sluice`, one file per verb."""
