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

resource "google_cloud_scheduler_job" "publishes" {
  name     = "publishes"
  region   = local.region
  schedule = "0 * * * *"
  pubsub_target {
    topic_name = google_pubsub_topic.logs.id
    data       = base64encode(var.tag)
    attributes = { tag = var.tag }
  }
}

resource "google_cloud_scheduler_job" "app_engine" {
  name             = "app-engine"
  region           = local.region
  schedule         = "0 * * * *"
  attempt_deadline = "600s"
  retry_config {
    retry_count          = 2
    max_retry_duration   = "100s"
    min_backoff_duration = "10s"
    max_backoff_duration = "200s"
    max_doublings        = 3
  }
  app_engine_http_target {
    http_method  = "POST"
    relative_uri = "/${var.tag}"
    app_engine_routing { service = "worker" }
  }
}
