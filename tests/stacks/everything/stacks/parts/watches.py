"""What watches: metrics, logs, alerts, objectives, dashboards."""

import json

from pulumi_gcp import logging, monitoring, pubsub

from .around import PROJECT


def watches(changed: bool, topic: pubsub.Topic) -> None:
    """Logs and what is made of them, then what is measured and who is told."""
    logging.Metric(
        "expired",
        name="token_expired",
        filter='jsonPayload.event="token_expired"' if not changed else 'jsonPayload.event="token_dead"',
        description="tokens that came too late",
        metric_descriptor={
            "metric_kind": "DELTA",
            "value_type": "INT64",
            "unit": "1",
            "labels": [{"key": "queue", "value_type": "STRING", "description": "the queue"}],
        },
        label_extractors={"queue": "EXTRACT(jsonPayload.queue)"},
    )
    logging.ProjectBucketConfig(
        "audit",
        project=PROJECT,
        location="global",
        bucket_id="payments",
        description="what was paid",
        retention_days=40 if not changed else 60,
        index_configs=[{"field_path": "jsonPayload.unique_id", "type": "INDEX_TYPE_STRING"}],
    )
    logging.ProjectSink(
        "errors",
        name="errors",
        destination=topic.id.apply(lambda path: f"pubsub.googleapis.com/{path}"),
        filter="severity >= ERROR" if not changed else "severity >= CRITICAL",
        description="errors to whom it concerns",
        unique_writer_identity=True,
        exclusions=[{"name": "noise", "filter": 'jsonPayload.event="noise"', "disabled": False}],
    )
    mail = monitoring.NotificationChannel(
        "ops",
        display_name="ops",
        type="email",
        labels={"email_address": "ops@example.com" if not changed else "oncall@example.com"},
        user_labels={"team": "pay"},
    )
    monitoring.NotificationChannel(
        "hook",
        display_name="hook",
        type="webhook_basicauth",
        labels={"url": "https://hooks.example.com/x", "username": "sluice"},
        sensitive_labels={"password": "secret" if not changed else "other"},
    )
    monitoring.AlertPolicy(
        "depth",
        display_name="queue depth",
        combiner="OR",
        severity="CRITICAL",
        conditions=[
            {
                "display_name": "depth",
                "condition_threshold": {
                    "filter": 'metric.type="cloudtasks.googleapis.com/queue/depth" AND '
                    'resource.type="cloud_tasks_queue"',
                    "comparison": "COMPARISON_GT",
                    "threshold_value": 100 if not changed else 200,
                    "duration": "300s",
                    "aggregations": [{"alignment_period": "60s", "per_series_aligner": "ALIGN_MAX"}],
                    "trigger": {"count": 1},
                },
            }
        ],
        documentation={"content": "See the runbook.", "subject": "The queue is deep"},
        alert_strategy={"auto_close": "1800s"},
        notification_channels=[mail.name],
        user_labels={"team": "pay"},
    )
    monitoring.MetricDescriptor(
        "age",
        type="custom.googleapis.com/sluice/token_age",
        metric_kind="GAUGE",
        value_type="DOUBLE",
        unit="s",
        description="how old tokens are" if not changed else "the age of tokens",
        display_name="Token age",
        labels=[{"key": "queue", "value_type": "STRING", "description": "the queue"}],
    )
    service = monitoring.CustomService(
        "payments",
        service_id="payments",
        display_name="Payments" if not changed else "All payments",
        user_labels={"team": "pay"},
    )
    monitoring.Slo(
        "paid",
        service=service.service_id,
        slo_id="paid",
        display_name="Paid",
        goal=0.99 if not changed else 0.995,
        rolling_period_days=28,
        request_based_sli={
            "good_total_ratio": {
                "good_service_filter": 'metric.type="run.googleapis.com/request_count" AND '
                'resource.type="cloud_run_revision" AND metric.labels.response_code_class="2xx"',
                "total_service_filter": 'metric.type="run.googleapis.com/request_count" AND '
                'resource.type="cloud_run_revision"',
            }
        },
    )
    monitoring.UptimeCheckConfig(
        "door",
        display_name="door",
        timeout="10s" if not changed else "20s",
        period="60s",
        http_check={
            "path": "/health",
            "port": 443,
            "use_ssl": True,
            "validate_ssl": True,
            "accepted_response_status_codes": [{"status_class": "STATUS_CLASS_2XX"}],
        },
        monitored_resource={"type": "uptime_url", "labels": {"project_id": PROJECT, "host": "pay.example.com"}},
        content_matchers=[{"content": "ok", "matcher": "CONTAINS_STRING"}],
        selected_regions=["USA_OREGON", "USA_IOWA", "USA_VIRGINIA"],
    )
    text = "c" if not changed else "d"
    layout = {"widgets": [{"title": "t", "text": {"content": text, "format": "MARKDOWN"}}]}
    monitoring.Dashboard("dash", dashboard_json=json.dumps({"displayName": "Payments", "gridLayout": layout}))
