"""Cloud Tasks v2: queues and tasks as Google's own clients know them, over the dispatcher in engines/.

Owns the API's surface: names and messages (names), the rules for queues (queue_rules) and tasks (task_rules), the
handlers (queues, tasks, batches), what is kept (state), what goes out for a task (targets) and what is told about it
(watch). Leaves alone: credentials, permissions and answers (server/, iam/) and dispatching itself (engines/).
Sources: the v2 reference (the protos' own text) and answers recorded from the real service; docs/fidelity.md has both.
"""

from local_cloud.apis.cloud_tasks import batches, queues, state, tasks
from local_cloud.apis.cloud_tasks.api import API

__all__ = ["API", "batches", "queues", "state", "tasks"]
