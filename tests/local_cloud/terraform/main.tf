# What people declare with Terraform, of every API that the local cloud has: as many of the arguments as read back.
# `sluice env` is all the configuration that the provider has.

terraform {
  required_providers {
    google = { source = "hashicorp/google-beta" }
  }
}

variable "tag" { default = "a" }

locals {
  region = "us-central1"
  image  = "us-central1-docker.pkg.dev/sluice-local/app/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
}
