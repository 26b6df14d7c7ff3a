"""The services' image, made and moved without a Docker engine: see docs/adr/image-without-docker.md."""
