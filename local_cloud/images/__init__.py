"""Images that are pushed here: their names, their blobs and manifests on disk, and how one becomes a root folder."""
