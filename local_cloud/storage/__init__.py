"""Cloud Storage: buckets and objects, what may happen to them, and the bytes on disk."""
