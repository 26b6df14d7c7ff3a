"""Cloud KMS inside: algorithms, key material on disk, and the life of keys and versions."""
