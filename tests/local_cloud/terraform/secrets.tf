# Secrets and their versions.

resource "google_secret_manager_secret" "s" {
  secret_id       = "KEY"
  labels          = { a = var.tag }
  annotations     = { note = "x" }
  version_aliases = var.tag == "a" ? {} : { current = "1" }
  replication {
    auto {}
  }
}

resource "google_secret_manager_secret" "placed" {
  secret_id = "PLACED"
  ttl       = "360000s"
  replication {
    user_managed {
      replicas { location = "us-central1" }
      replicas { location = "us-east1" }
    }
  }
}

resource "google_secret_manager_secret_version" "v1" {
  secret      = google_secret_manager_secret.s.id
  secret_data = "hunter2"
}

resource "google_secret_manager_secret_version" "v2" {
  secret      = google_secret_manager_secret.s.id
  secret_data = "hunter3"
  enabled     = var.tag == "a"
  depends_on  = [google_secret_manager_secret_version.v1]
}

resource "google_secret_manager_secret_iam_member" "r" {
  secret_id = google_secret_manager_secret.s.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.runner.member
}

data "google_secret_manager_secret_version" "latest" {
  secret     = google_secret_manager_secret.s.secret_id
  version    = "1"
  depends_on = [google_secret_manager_secret_version.v1]
}
