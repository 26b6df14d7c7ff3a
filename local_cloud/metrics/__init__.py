"""Cloud Monitoring's law: descriptors, points and retention, filters, alignment, reduction. The API is in apis/."""
