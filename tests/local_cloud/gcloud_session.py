"""gcloud's own command line, many commands in one of its processes: a start of gcloud costs a second of CPU each.

Run by gcloud's Python with the folder of its library as the argument (see gcloud.py). One JSON line in, `["iam",
"service-accounts", "list"]`, one out: `{"code": 0, "out": "...", "err": "..."}`.
"""

import io
import json
import sys
from pathlib import Path


def main(library: str) -> None:
    answers, sys.argv = sys.stdout, ["gcloud"]
    sys.path[:0] = [library, str(Path(library) / "third_party")]
    sys.stdout = io.StringIO()
    from googlecloudsdk import gcloud_main  # type: ignore[import-not-found]
    from googlecloudsdk.api_lib.iamcredentials import util  # type: ignore[import-not-found]
    from googlecloudsdk.core import log  # type: ignore[import-not-found]
    from googlecloudsdk.core.credentials import store  # type: ignore[import-not-found]

    store.IMPERSONATION_TOKEN_PROVIDER = util.ImpersonationAccessTokenProvider()  # as gcloud's own main does

    command_line = gcloud_main.CreateCLI([])
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        sys.stdout, sys.stderr = out, err
        log.Reset(out, err)
        code = 0
        try:
            command_line.Execute(json.loads(line))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception as error:
            code = 1
            print(f"ERROR: {type(error).__name__}: {error}", file=err)
        answers.write(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
