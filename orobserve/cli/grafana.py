"""Grafana's HTTP API, as far as dashboards and alert rules need it. Everything is found again by its uid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx

from orobserve._version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_REASONS = {
    401: "the token is not accepted: make one for a service account (Administration, Service accounts)",
    403: "the token's service account may not do that: give it the role Editor, and the permission that is named",
    404: "there is no such address: check --url, with the path if Grafana is below one",
    412: "somebody else has changed it meanwhile: try again",
}
_ELSEWHERE = "that is elsewhere: give --url as the browser shows it (https, and the path), or go round a login page"
_TOKEN = re.compile(r"[!-~]+")
_SOURCE = {"name", "type", "uid"}
_OK = 200
_NOT_FOUND = 404
_VOLATILE = {"id", "version", "iteration"}  # Grafana's own, in a dashboard
_MOST = 300  # characters of what Grafana says


class GrafanaError(Exception):
    """Grafana did not do what it was asked; the text says why, and what to do."""


class Grafana:
    """A Grafana, by its address and the token of a service account."""

    def __init__(self, url: str, token: str) -> None:
        """Open nothing.

        Raises:
            GrafanaError: the address, or the token, is none.
        """
        self._url = url.rstrip("/")
        if not _TOKEN.fullmatch(token):
            raise GrafanaError(
                "the token is none: it is one word of letters, digits and signs, as Grafana shows it once"
            )
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"orobserve/{__version__}"}
        try:
            is_address = url.startswith(("http://", "https://")) and bool(httpx.URL(url).host)
        except httpx.InvalidURL:
            is_address = False
        if not is_address:
            raise GrafanaError(f"--url={url!r} is no address: https://grafana.example.com is one")
        self._client = httpx.Client(base_url=f"{self._url}/", headers=headers, timeout=30)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def sources(self) -> list[dict[str, Any]]:
        """Return the data sources: name, type, uid."""
        found = self._ask("GET", "api/datasources", "read the data sources (datasources:read)")
        if not isinstance(found, list) or not all(isinstance(item, dict) and {*item} >= _SOURCE for item in found):
            raise GrafanaError(f"{self._url} does not answer as Grafana does: check --url")
        return found

    def folder(self, title: str) -> str:
        """Return the uid of a folder, which is made if there is none of the title."""
        doing = f"look for the folder {title!r} (folders:read)"
        for item in self._ask("GET", "api/folders?limit=1000", doing):
            if item["title"] == title:
                return str(item["uid"])
        made = self._ask("POST", "api/folders", f"make the folder {title!r} (folders:create)", {"title": title})
        return str(made["uid"])

    def board(self, board: dict[str, Any], folder: str) -> dict[str, str]:
        """Put a dashboard into a folder, unless it is there as it is."""
        name = f"the dashboard {board['title']!r}"
        there = self._ask("GET", f"api/dashboards/uid/{board['uid']}", f"look at {name} (dashboards:read)", absent=True)
        if there and there["meta"].get("folderUid") == folder and _same(there["dashboard"], board):
            result, path = "unchanged", there["meta"].get("url", "")
        else:
            asked = {"dashboard": board, "folderUid": folder, "overwrite": True, "message": f"orobserve {__version__}"}
            made = self._ask("POST", "api/dashboards/db", f"write {name} (dashboards:write)", asked)
            result, path = "updated" if there else "created", made.get("url", "")
        return {"what": board["title"], "uid": board["uid"], "result": result, "url": self._link(path)}

    def rule(self, rule: dict[str, Any]) -> dict[str, str]:
        """Put an alert rule, which stays open to changes in Grafana."""
        base, name = "api/v1/provisioning/alert-rules", f"the alert rule {rule['title']}"
        path = f"{base}/{rule['uid']}"
        there = self._ask("GET", path, f"look at {name} (alert.provisioning:read)", absent=True)
        if there and _has(there, {key: value for key, value in rule.items() if key != "orgID"}):  # which Grafana sets
            result = "unchanged"
        else:
            doing = f"write {name} (alert.provisioning:write)"
            self._ask("PUT" if there else "POST", path if there else base, doing, rule)
            result = "updated" if there else "created"
        link = self._link(f"/alerting/grafana/{rule['uid']}/view")
        return {"what": f"alert {rule['title']}", "uid": rule["uid"], "result": result, "url": link}

    def _link(self, path: str) -> str:
        return f"{self._url}{path}" if path else ""

    def _ask(self, method: str, path: str, doing: str, body: Any = None, *, absent: bool = False) -> Any:  # noqa: ANN401
        """Return an answer; with `absent`, None where there is nothing.

        Raises:
            GrafanaError: there is no good answer.
        """
        headers = {"X-Disable-Provenance": "true"}  # else a rule could not be changed in Grafana
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
            if absent and answer.status_code == _NOT_FOUND:
                return None
            if answer.status_code // 100 == _OK // 100:
                return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GrafanaError(f"{self._url} cannot be reached ({type(error).__name__}): check --url") from None
        except ValueError:
            raise GrafanaError(f"{self._url} does not answer as Grafana does: check --url") from None
        reason = _REASONS.get(answer.status_code, _ELSEWHERE if answer.is_redirect else "Grafana refuses")
        raise GrafanaError(f"cannot {doing}: {reason} (HTTP {answer.status_code}{_said(answer)})")


def _same(there: dict[str, Any], ours: dict[str, Any]) -> bool:
    return {key: value for key, value in there.items() if key not in _VOLATILE} == ours


def _has(there: Any, ours: Any) -> bool:  # noqa: ANN401 - of any kind
    """Tell whether all of ours is there; Grafana adds what is its own."""
    if isinstance(ours, dict):
        return isinstance(there, dict) and all(_has(there.get(key), value) for key, value in ours.items())
    if isinstance(ours, list):
        return isinstance(there, list) and len(there) == len(ours) and all(map(_has, there, ours))
    return bool(there == ours)


def _said(answer: httpx.Response) -> str:
    """Return what Grafana says of it, harmless for a terminal."""
    try:
        found = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f': "{re.sub(r"[^ -~]", "?", str(found))[:_MOST]}"'
