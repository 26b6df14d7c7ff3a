"""The documents' way to take a webhook, for comparison alone: Flask, a database connection a request, one task.

Written from the text of the five documents: the task is created as `create_cloud_task` there, by Google's synchronous
client made once at startup; the database driver is pg8000, which they name, without the TLS of its Cloud SQL connector;
the signature is the one that our entry checks too. It records one row and makes one task; our entry records event,
payment, access, ledger posting and two outbox rows, and makes two. POOL=1 takes connections of psycopg from a pool
instead. Runs in an environment of its own (scripts/prepare bench); nothing imports it.

    gunicorn --workers 1 --threads 8 bench._flask_way:app
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
from typing import Any
from urllib.parse import urlsplit

import grpc
import pg8000.dbapi
import psycopg_pool
from flask import Flask, request
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

DATABASE, KEY = os.environ["DATABASE_URL"], os.environ["PROCESSOR_IPN_KEY"]
QUEUE, TARGET, INVOKER = os.environ["QUEUE"], os.environ["TARGET"], os.environ["INVOKER"]

# The documents' client finds Google; this one the local cloud.
channel = grpc.insecure_channel(os.environ["CLOUD_TASKS"])
tasks_client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
threads = int(os.environ.get("THREADS", "8"))
pool = psycopg_pool.ConnectionPool(DATABASE, min_size=threads, max_size=threads) if os.environ.get("POOL") else None


def webhook() -> tuple[dict[str, str], int]:
    """Check the signature, record the payment, have it split."""
    fields = json.loads(request.data)
    signed = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    expected = hmac.new(KEY.encode(), signed, hashlib.sha512).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-nowpayments-sig", "")):
        return {"error": "bad signature"}, 401
    with pool.connection() if pool else contextlib.closing(connect()) as connection:
        connection.cursor().execute(
            "INSERT INTO flask_payments (payment_id, order_id, currency, amount) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (payment_id) DO NOTHING",
            (str(fields["payment_id"]), fields["order_id"], fields["pay_currency"], fields["actually_paid"]),
        )
        connection.commit()
    task = create_cloud_task(TARGET, {"order_id": fields["order_id"], "amount": fields["actually_paid"]}, QUEUE)
    return ({"status": "success"}, 200) if task else ({"error": "no task"}, 500)


def connect() -> Any:
    """A connection of this request's own."""
    place = urlsplit(DATABASE)
    return pg8000.dbapi.connect(
        user=str(place.username), host=place.hostname, port=place.port, database=place.path.lstrip("/")
    )


def create_cloud_task(target_url: str, payload_dict: dict[str, Any], queue_path: str) -> str | None:
    """Create a Cloud Tasks task to invoke a Cloud Run service."""
    try:
        task = {
            "http_request": {
                "http_method": tasks_v2.HttpMethod.POST,
                "url": target_url,
                "headers": {"Content-Type": "application/json"},
                "body": json.dumps(payload_dict).encode(),
                "oidc_token": {"service_account_email": INVOKER},
            }
        }
        response = tasks_client.create_task(request={"parent": queue_path, "task": task})
        print(f"[CLOUD_TASKS] Created task: {response.name}", flush=True)
        return str(response.name)
    except Exception as error:
        print(f"[CLOUD_TASKS] Failed to create task: {error}", flush=True)
        return None


app = Flask(__name__)
app.add_url_rule("/", view_func=webhook, methods=["POST"])
