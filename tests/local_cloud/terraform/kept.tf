# What is only kept.

resource "google_artifact_registry_repository" "repo" {
  repository_id          = "images"
  location               = local.region
  format                 = "DOCKER"
  description            = var.tag
  cleanup_policy_dry_run = false
  cleanup_policies {
    id     = "keep"
    action = "KEEP"
    most_recent_versions { keep_count = 5 }
  }
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  repository = google_artifact_registry_repository.repo.name
  location   = local.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.runner.member
}

resource "google_logging_metric" "errors" {
  name   = "errors"
  filter = "severity>=ERROR AND jsonPayload.tag=\"${var.tag}\""
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
    labels {
      key        = "svc"
      value_type = "STRING"
    }
  }
  value_extractor  = "EXTRACT(jsonPayload.age)"
  label_extractors = { "svc" = "EXTRACT(resource.labels.service_name)" }
  bucket_options {
    linear_buckets {
      num_finite_buckets = 3
      width              = 1
      offset             = 1
    }
  }
}

resource "google_monitoring_notification_channel" "ops" {
  display_name = "ops ${var.tag}"
  type         = "email"
  labels       = { email_address = "ops@example.com" }
}

resource "google_monitoring_alert_policy" "depth" {
  display_name = "depth"
  combiner     = "OR"
  conditions {
    display_name = "depth"
    condition_threshold {
      filter          = "metric.type=\"cloudtasks.googleapis.com/queue/depth\" AND resource.type=\"cloud_tasks_queue\""
      comparison      = "COMPARISON_GT"
      duration        = "300s"
      threshold_value = var.tag == "a" ? 100 : 200
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
      trigger { count = 1 }
    }
  }
  notification_channels = [google_monitoring_notification_channel.ops.name]
  documentation {
    content   = "see the runbook"
    mime_type = "text/markdown"
  }
  alert_strategy { auto_close = "1800s" }
  user_labels = { a = "b" }
}

resource "google_monitoring_dashboard" "d" {
  dashboard_json = jsonencode({ displayName = "Tasks ${var.tag}", gridLayout = { columns = "2", widgets = [{ title = "t", text = { content = "c", format = "MARKDOWN" } }] } })
}

resource "google_sql_database_instance" "db" {
  name                = "db"
  region              = local.region
  database_version    = "POSTGRES_16"
  deletion_protection = false
  settings {
    tier        = "db-f1-micro"
    user_labels = { a = "b" }
    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }
    ip_configuration {
      ipv4_enabled = true
      ssl_mode     = "ENCRYPTED_ONLY"
    }
    backup_configuration { enabled = true }
  }
}

resource "google_sql_database" "app" {
  name     = "app"
  instance = google_sql_database_instance.db.name
}

resource "google_sql_user" "iam" {
  name     = trimsuffix(google_service_account.runner.email, ".gserviceaccount.com")
  instance = google_sql_database_instance.db.name
  type     = "CLOUD_IAM_SERVICE_ACCOUNT"
}
