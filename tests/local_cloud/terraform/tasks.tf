# Queues of every kind of target.

resource "google_cloud_tasks_queue" "plain" {
  name     = "plain"
  location = local.region
}

resource "google_cloud_tasks_queue" "full" {
  name          = "full"
  location      = local.region
  desired_state = var.tag == "a" ? "RUNNING" : "PAUSED"
  rate_limits {
    max_concurrent_dispatches = 3
    max_dispatches_per_second = var.tag == "a" ? 2 : 4
  }
  retry_config {
    max_attempts       = 5
    max_retry_duration = "4s"
    max_backoff        = "3s"
    min_backoff        = "2s"
    max_doublings      = 1
  }
  stackdriver_logging_config { sampling_ratio = 0.9 }
}

resource "google_cloud_tasks_queue" "http" {
  name     = "http-target"
  location = local.region
  http_target {
    http_method = "POST"
    uri_override {
      scheme = "HTTPS"
      host   = "oidc.example.com"
      port   = 8443
      path_override { path = "/users/1234" }
      query_override { query_params = "qparam1=123&qparam2=456" }
      uri_override_enforce_mode = "IF_NOT_EXISTS"
    }
    header_overrides {
      header {
        key   = "AddSomethingElse"
        value = "MyOtherValue"
      }
    }
    header_overrides {
      header {
        key   = "AddMe"
        value = "MyValue"
      }
    }
    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = "https://oidc.example.com"
    }
  }
}

resource "google_cloud_tasks_queue" "oauth" {
  name     = "http-oauth"
  location = local.region
  http_target {
    oauth_token {
      service_account_email = google_service_account.caller.email
      scope                 = "openid https://www.googleapis.com/auth/userinfo.email"
    }
  }
}

resource "google_cloud_tasks_queue" "appengine" {
  name     = "app-engine"
  location = local.region
  app_engine_routing_override {
    service  = "worker"
    version  = "1.0"
    instance = "test"
  }
  retry_config { max_attempts = -1 }
}

resource "google_cloud_tasks_queue_iam_member" "enq" {
  name     = google_cloud_tasks_queue.full.name
  location = local.region
  role     = google_project_iam_custom_role.creator.id
  member   = google_service_account.caller.member
}

resource "google_cloud_tasks_queue_iam_binding" "bind" {
  name     = google_cloud_tasks_queue.plain.name
  location = local.region
  role     = "roles/cloudtasks.enqueuer"
  members  = [google_service_account.caller.member]
}
