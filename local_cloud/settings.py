"""What one local cloud is started with: its names, its ports, where its state lies."""

from dataclasses import dataclass, field
from pathlib import Path

#: Bodies and messages above this are refused (413 / RESOURCE_EXHAUSTED), as Google's front end does at 10 MB.
MAX_REQUEST_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The command line, typed. Port 0 chooses a free one."""

    state: Path
    project: str = "sluice-local"
    project_number: str = "123456789012"
    location: str = "us-central1"
    host: str = "127.0.0.1"
    rest_port: int = 0
    grpc_port: int = 0
    service_rest_port: int = 0
    service_grpc_port: int = 0
    #: enforce refuses, audit only records what it would have refused, off asks nothing.
    iam_mode: str = "enforce"
    #: Seconds after which a changed policy takes effect; Google's takes up to minutes.
    iam_delay: float = 0.0
    #: Where the project's App Engine application serves: tasks for it go there. It may name {service}, {version} and
    #: {instance}. Empty: $APP_ENGINE_EMULATOR_HOST, or none.
    app_engine_host: str = ""
    #: Dispatches a second at which a new or idle queue begins; 0: at once as fast as its settings say.
    tasks_ramp_up: float = 0.0
    #: The share of successful tasks that are delivered twice.
    tasks_duplicates: float = 0.0
    #: Seconds until points of metrics can be read; Google's take up to 3 minutes.
    metric_lag: float = 0.0
    strict_apis: bool = False
    zone: str = field(default="")

    @property
    def metadata_zone(self) -> str:
        """The zone that the metadata server names."""
        return self.zone or f"{self.location}-1"
