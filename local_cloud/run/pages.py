"""What Cloud Run itself answers when no instance does: the pages of its front end and the sentences of its request log.

Texts as Google's front end and https://cloud.google.com/run/docs/troubleshooting have them.
"""

from html import escape

HTML = "text/html; charset=UTF-8"
PLAIN = "text/plain"

NO_INSTANCE = (
    "The request was aborted because there was no available instance. Additional troubleshooting documentation can be "
    "found at: https://cloud.google.com/run/docs/troubleshooting#abort-request"
)
BROKEN = (
    "The request failed because either the HTTP response was malformed or connection to the instance had an error. "
    "Additional troubleshooting documentation can be found at: "
    "https://cloud.google.com/run/docs/troubleshooting#malformed-response-or-connection-error"
)
TIMED_OUT = (
    "The request has been terminated because it has reached the maximum request timeout. To change this limit, see "
    "https://cloud.google.com/run/docs/configuring/request-timeout"
)
DISABLED = "The service is disabled: it is scaled to 0 instances by hand (scaling.manual_instance_count)."
TOO_LARGE = "The request was larger than 32 MiB, which is the most that a request over HTTP/1 may have."
NOT_AUTHENTICATED = (
    "The request was not authenticated. Either allow unauthenticated invocations or set the proper Authorization "
    "header. Read more at https://cloud.google.com/run/docs/securing/authenticating"
)
INVALID_TOKEN = (
    "The request was not authorized to invoke this service. The access token could not be verified: {why} "
    "Read more at https://cloud.google.com/run/docs/securing/authenticating"
)
NOT_AUTHORIZED = (
    "The request was not authorized to invoke this service. Read more at "
    "https://cloud.google.com/run/docs/securing/authenticating"
)


def page(status: int, title: str, heading: str, text: str, more: str = "") -> bytes:
    """The page of Google's front end; `text` may hold markup, `more` may not."""
    return (
        '<html><head>\n<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
        f"<title>{status} {title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
        f"<h1>Error: {heading}</h1>\n<h2>{text}</h2>\n<h2>{escape(more, quote=False)}</h2>\n</body></html>\n"
    ).encode()


def forbidden(path: str, more: str) -> bytes:
    """403."""
    text = f"Your client does not have permission to get URL <code>{escape(path)}</code> from this server."
    return page(403, "Forbidden", "Forbidden", text, more)


def unauthorized(path: str, more: str) -> bytes:
    """401."""
    text = f"Your client does not have permission to the requested URL <code>{escape(path)}</code>."
    return page(401, "Unauthorized", "Unauthorized", text, more)


def missing(more: str = "") -> bytes:
    """404: no service at this address, or none that lets this caller in."""
    return page(404, "Page not found", "Page not found", "The requested URL was not found on this server.", more)
