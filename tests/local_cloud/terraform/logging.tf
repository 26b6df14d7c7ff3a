# Log-based metrics, sinks, buckets and views.

resource "google_logging_metric" "counter" {
  name        = "payments/dead"
  description = var.tag == "a" ? "Dead payments" : "Payments that are dead"
  filter      = var.tag == "a" ? "severity>=ERROR" : "severity>=CRITICAL"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key         = "code"
      value_type  = "INT64"
      description = "Why"
    }
  }
  label_extractors = { code = "EXTRACT(jsonPayload.code)" }
}

resource "google_logging_metric" "spread" {
  name            = "payments-took"
  filter          = "resource.type=\"cloud_run_revision\" AND jsonPayload.duration:*"
  bucket_name     = google_logging_project_bucket_config.own.id
  disabled        = var.tag != "a"
  value_extractor = "REGEXP_EXTRACT(jsonPayload.duration, \"([0-9.]+)\")"
  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = "DISTRIBUTION"
    unit         = "s"
    display_name = "Duration"
  }
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 20
      growth_factor      = 2
      scale              = var.tag == "a" ? 0.01 : 0.1
    }
  }
}

resource "google_logging_project_bucket_config" "own" {
  project          = "sluice-local"
  location         = "global"
  bucket_id        = "own"
  description      = var.tag
  retention_days   = var.tag == "a" ? 40 : 50
  enable_analytics = true
  index_configs {
    field_path = "jsonPayload.unique_id"
    type       = "INDEX_TYPE_STRING"
  }
}

resource "google_logging_project_bucket_config" "default" {
  project        = "sluice-local"
  location       = "global"
  bucket_id      = "_Default"
  retention_days = 35
}

resource "google_logging_log_view" "own" {
  name        = "errors"
  bucket      = google_logging_project_bucket_config.own.id
  description = var.tag
  filter      = "LOG_ID(\"run.googleapis.com/stderr\")"
}

resource "google_logging_log_view_iam_member" "own" {
  parent   = google_logging_log_view.own.parent
  location = "global"
  bucket   = google_logging_project_bucket_config.own.bucket_id
  name     = google_logging_log_view.own.name
  role     = "roles/logging.viewAccessor"
  member   = "serviceAccount:${google_service_account.caller.email}"
}

resource "google_logging_project_sink" "bucket" {
  name                   = "to-bucket"
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.own.id}"
  filter                 = var.tag == "a" ? "severity>=ERROR" : "severity>=ALERT"
  unique_writer_identity = true
  dynamic "exclusions" {
    for_each = var.tag == "a" ? ["noise", "more"] : ["noise"]
    content {
      name   = exclusions.value
      filter = "textPayload:\"${exclusions.value}\""
    }
  }
}

resource "google_logging_project_sink" "topic" {
  name                   = "to-topic"
  description            = var.tag
  disabled               = var.tag != "a"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.logs.id}"
  unique_writer_identity = true
}

resource "google_pubsub_topic" "logs" {
  name = "terraform-logs"
}

resource "google_pubsub_topic_iam_member" "logs" {
  topic  = google_pubsub_topic.logs.id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.topic.writer_identity
}

resource "google_logging_project_exclusion" "noise" {
  name     = "noise"
  filter   = "resource.type=\"gce_instance\""
  disabled = var.tag != "a"
}
