"""Cloud Tasks v2: queues and tasks as Google's own clients know them, over the dispatcher in engines/.

Owns the API's surface: names and messages (names), the rules for queues (queue_rules) and tasks (task_rules), the
handlers (queues, tasks, batches, cmek), what is kept (state), what goes out for a task (targets, app_engine), what is
told about it (watch), and what people may turn on here (knobs). Leaves alone: credentials, permissions and answers
(server/, iam/) and dispatching itself (engines/). Sources: the v2 reference (the protos' own text) and answers recorded
from the real service; docs/fidelity.md has both.
"""

from local_cloud.apis.cloud_tasks import batches, cmek, knob_routes, queues, state, tasks
from local_cloud.apis.cloud_tasks.api import API

__all__ = ["API", "batches", "cmek", "knob_routes", "queues", "state", "tasks"]
