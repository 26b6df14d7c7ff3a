# The project, its accounts and who may do what.

resource "google_project_service" "tasks" {
  service            = "cloudtasks.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "caller" {
  account_id   = "caller"
  display_name = "Caller ${var.tag}"
  description  = "calls"
}

resource "google_service_account" "runner" {
  account_id = "runner"
}

resource "google_service_account_key" "key" {
  service_account_id = google_service_account.caller.name
}

resource "google_project_iam_custom_role" "creator" {
  role_id     = "taskCreator"
  title       = "Create tasks ${var.tag}"
  description = "d"
  permissions = ["cloudtasks.tasks.create", "cloudtasks.queues.get"]
}

resource "google_project_iam_member" "logs" {
  project = google_service_account.runner.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.runner.member
}

resource "google_project_iam_member" "conditional" {
  project = google_service_account.runner.project
  role    = "roles/cloudtasks.viewer"
  member  = google_service_account.runner.member
  condition {
    title       = "until"
    description = "for a while"
    expression  = "request.time < timestamp('2030-01-01T00:00:00Z')"
  }
}

resource "google_project_iam_binding" "viewer" {
  project = google_service_account.runner.project
  role    = "roles/run.viewer"
  members = [google_service_account.runner.member, google_service_account.caller.member]
}

resource "google_service_account_iam_member" "actas" {
  service_account_id = google_service_account.runner.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.caller.member
}

data "google_project" "me" {}

data "google_client_config" "c" {}

data "google_service_account_id_token" "id" {
  target_service_account = google_service_account.caller.email
  target_audience        = "https://x"
}

output "number" { value = data.google_project.me.number }
