# Cron jobs.

resource "google_cloud_scheduler_job" "sweep" {
  name             = "sweep"
  region           = local.region
  schedule         = var.tag == "a" ? "*/5 * * * *" : "*/10 * * * *"
  time_zone        = "Europe/Berlin"
  attempt_deadline = "320s"
  paused           = var.tag != "a"
  retry_config { retry_count = 3 }
  http_target {
    uri         = "${google_cloud_run_v2_service.full.uri}/sweep"
    http_method = "PUT"
    body        = base64encode("{}")
    headers     = { "Content-Type" = "application/json" }
    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloud_run_v2_service.full.uri
    }
  }
}

resource "google_cloud_scheduler_job" "bare" {
  name     = "bare"
  region   = local.region
  schedule = "0 0 * * *"
  http_target {
    uri         = "http://127.0.0.1:9/x"
    http_method = "POST"
  }
}
