"""The emulated APIs, one module each: dropping a module here is all it takes (see registry.py)."""
