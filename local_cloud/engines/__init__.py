"""The laws that more than one API lives by: each in one module, without HTTP or Google in it."""
