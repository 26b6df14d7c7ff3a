"""Cloud Run's v1 surface, Knative's objects: a translation to and from the v2 resources, which alone are kept."""
