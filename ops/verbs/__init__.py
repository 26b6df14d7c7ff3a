"""The verbs of the command: one file each, with a function `register(app)`; the file is listed, nothing else."""
