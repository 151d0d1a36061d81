"""`orobserve proxy`: the sidecar in front of OpenRouter, for clients in any language."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import on_by_default
from orobserve.proxy import settings as proxy_settings
from orobserve.telemetry.console import coloured

if TYPE_CHECKING:
    from orobserve.proxy.settings import ProxySettings

_DESCRIPTION = """\
Forwards every request to OpenRouter as it is, streams the answer back as it comes, and records each call: spans and
metrics where OTEL_* says, destinations as in orobserve.toml. Point any client at it:

  OPENAI_BASE_URL=http://127.0.0.1:4141/api/v1      OpenAI's SDKs, and what is built on them
  ANTHROPIC_BASE_URL=http://127.0.0.1:4141/api      Anthropic's SDKs, Claude Code

The callers' API keys pass through and are stored nowhere. Headers that say more about a call end at the proxy:
X-Orobserve-User, -Session, -Tags (with commas), -Trace-Name, -Span-Name, -Generation-Name, -Metadata-NAME;
an inbound traceparent is continued."""
_EPILOG = """\
/healthz and /readyz answer probes, /metrics answers Prometheus. SIGTERM lets the calls in flight end.

Beyond loopback the proxy starts only with an own key and an allow-list of client tokens:

  OROBSERVE_PROXY_KEY=sk-or-... orobserve proxy --listen 0.0.0.0:4141 --allow-token-file tokens.txt

Clients then call with one of the tokens in the place of an API key; the proxy puts its own key there.

every setting can be given in the environment:
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    fields = proxy_settings.setting_fields()
    variables = [f"  {proxy_settings.PREFIX + name.upper():<34}{fields[name].metadata['help']}" for name in fields]
    command = commands.add_parser(
        "proxy",
        help="a sidecar in front of OpenRouter, for clients in any language",
        description=_DESCRIPTION,
        epilog=_EPILOG + "\n".join(variables),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--listen", metavar="HOST:PORT", help="where to listen (default: 127.0.0.1:4141)")
    command.add_argument("--upstream", metavar="URL", help="where calls go (default: https://openrouter.ai)")
    command.add_argument("--http2", action="store_const", const=True, help="speak HTTP/2 to it, where it does")
    command.add_argument("--tls-cert", metavar="FILE", help="listen with TLS: the certificate chain, PEM")
    command.add_argument("--tls-key", metavar="FILE", help="and its private key, PEM")
    command.add_argument("--allow-token-file", metavar="FILE", help="the tokens that clients may call with, one a line")
    command.add_argument("--max-body", metavar="BYTES", help="of a request (default: 64 MiB)")
    command.add_argument("--idle-timeout", metavar="SECONDS", help="of a silent upstream (default: 900)")
    command.add_argument("--drain", metavar="SECONDS", help="for calls in flight to end after SIGTERM (default: 25)")
    command.add_argument("--json", action="store_const", const=True, help="the access log as JSON lines")
    command.add_argument(
        "--no-access-log", dest="access_log", action="store_const", const=False, help="no line per call"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    names = proxy_settings.setting_fields()
    given = {name: value for name, value in vars(options).items() if name in names and value is not None}
    settings = proxy_settings.load(given)
    _serve(settings)
    return 0


def _serve(settings: ProxySettings) -> None:
    try:
        from orobserve.proxy import serve  # noqa: PLC0415 - it needs what only the extra brings
        from orobserve.proxy.access_log import AccessLog  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fix = "pip install 'orobserve[proxy]'"
        raise ConfigurationError("proxy", error.name, allowed="a Python with this package", fix=fix) from None
    log = AccessLog(as_json=settings.json, coloured=coloured(sys.stdout)) if settings.access_log else None
    proxy = serve.Proxy(settings, log, **on_by_default(config.load({})))
    serve.announce(proxy, settings)
    proxy.run()
