"""Two destinations at once: a file that keeps everything, and a webhook that must not see what was said."""

import json
import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx

import orobserve


class Receiver(BaseHTTPRequestHandler):
    """Your own service; here it runs in the same process."""

    def do_POST(self) -> None:
        """Take an OTLP export in JSON, which is what OpenRouter's own Broadcast sends to webhooks."""
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for resource in told["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    print(f"webhook got: {span['name']}")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


server = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
path = Path(tempfile.mkdtemp()) / "calls.jsonl"

# The same objects work in `orobserve.toml`, and so does one copied from OpenRouter's own settings.
# A product is as short as "langfuse": its keys are found in the variables that its own SDK reads.
orobserve.instrument(
    destinations=[
        {"type": "file", "name": "archive", "config": {"path": str(path)}},
        {
            "type": "webhook",
            "config": {"url": f"http://127.0.0.1:{server.server_port}/calls"},
            "privacy_mode": True,
            "sampling_rate": 1.0,
            "filter_rules": {
                "groups": [{"logic": "and", "rules": [{"field": "user_id", "operator": "not_equals", "value": "test"}]}]
            },
        },
    ]
)

base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"}
for user in ("ada", "test"):
    body = {
        "model": "openai/gpt-4o-mini",
        "user": user,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    httpx.post(f"{base}/chat/completions", json=body, headers=headers, timeout=60)

orobserve.flush()
server.shutdown()
print(f"the file has {path.read_text().count('traceId')} calls")
