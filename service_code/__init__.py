"""The payment services and the kit they share; shipped as one image."""
