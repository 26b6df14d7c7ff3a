# Services, v2 and v1, and jobs.

resource "google_cloud_run_v2_service" "full" {
  name                = "full"
  location            = local.region
  deletion_protection = false
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  description         = "all of it"
  labels              = { team = var.tag }
  annotations         = { x = "y" }
  custom_audiences    = ["aud"]
  scaling { min_instance_count = 1 }
  template {
    revision                         = "full-${var.tag}"
    service_account                  = google_service_account.runner.email
    timeout                          = "60s"
    max_instance_request_concurrency = 20
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    session_affinity                 = true
    labels                           = { l = "1" }
    annotations                      = { a = "1" }
    scaling {
      min_instance_count = 0
      max_instance_count = 5
    }
    volumes {
      name = "secrets"
      secret {
        secret       = google_secret_manager_secret.s.secret_id
        default_mode = 292
        items {
          version = "1"
          path    = "key"
        }
      }
    }
    volumes {
      name = "tmp"
      empty_dir {
        medium     = "MEMORY"
        size_limit = "64Mi"
      }
    }
    containers {
      image       = "us-central1-docker.pkg.dev/sluice-local/app/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
      name        = "main"
      args        = ["--x"]
      working_dir = "/"
      env {
        name  = "A"
        value = var.tag
      }
      env {
        name = "KEY"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.s.secret_id
            version = "1"
          }
        }
      }
      ports { container_port = 8080 }
      resources {
        limits            = { cpu = "1", memory = "512Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }
      startup_probe {
        initial_delay_seconds = 0
        timeout_seconds       = 1
        period_seconds        = 3
        failure_threshold     = 5
        tcp_socket { port = 8080 }
      }
      liveness_probe {
        http_get {
          path = "/health"
          http_headers {
            name  = "x"
            value = "y"
          }
        }
      }
      volume_mounts {
        name       = "secrets"
        mount_path = "/etc/secrets"
      }
      volume_mounts {
        name       = "tmp"
        mount_path = "/scratch"
      }
    }
  }
  traffic {
    type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    revision = "full-${var.tag}"
    percent  = 100
    tag      = "stable"
  }
  depends_on = [google_secret_manager_secret_iam_member.r, google_secret_manager_secret_version.v1, google_secret_manager_secret_version.v2]
}

resource "google_cloud_run_v2_service" "plain" {
  name                 = "plain"
  location             = local.region
  deletion_protection  = false
  invoker_iam_disabled = var.tag != "a"
  template {
    containers {
      image = "us-central1-docker.pkg.dev/sluice-local/app/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "inv" {
  name     = google_cloud_run_v2_service.full.name
  location = local.region
  role     = "roles/run.invoker"
  member   = google_service_account.caller.member
}

resource "google_cloud_run_v2_job" "job" {
  name                = "job"
  location            = local.region
  deletion_protection = false
  labels              = { a = var.tag }
  template {
    task_count  = 3
    parallelism = 2
    template {
      max_retries     = 1
      timeout         = "120s"
      service_account = google_service_account.runner.email
      containers {
        image = "us-central1-docker.pkg.dev/sluice-local/app/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
        args  = ["migrate"]
        env {
          name  = "A"
          value = var.tag
        }
        resources { limits = { cpu = "1", memory = "512Mi" } }
      }
    }
  }
}

resource "google_cloud_run_v2_job_iam_member" "inv" {
  name     = google_cloud_run_v2_job.job.name
  location = local.region
  role     = "roles/run.invoker"
  member   = google_service_account.caller.member
}

resource "google_cloud_run_service" "knative" {
  name     = "knative"
  location = local.region
  template {
    spec {
      containers {
        image = "us-central1-docker.pkg.dev/sluice-local/app/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
        env {
          name  = "A"
          value = var.tag
        }
      }
    }
  }
  traffic {
    percent         = 100
    latest_revision = true
  }
}

resource "google_cloud_run_service_iam_member" "all" {
  service  = google_cloud_run_service.knative.name
  location = local.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

data "google_cloud_run_v2_service" "again" {
  name     = google_cloud_run_v2_service.full.name
  location = local.region
}

output "uri" { value = data.google_cloud_run_v2_service.again.uri }
