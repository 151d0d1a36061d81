"""What users say about destinations, checked: names, Broadcast's destination objects, ready-made exporters.

It must know no product: a type is found by its entry point, and its class says which keys `config` has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.config_values import OneOf, boolean, names, nearest, number
from orobserve.delivery import filters, privacy
from orobserve.delivery.destination_config import HIDDEN, check, make_once, squash
from orobserve.delivery.exporter import DirectExporter, HTTPExporter
from orobserve.delivery.sampling import Exempt
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.metadata import EntryPoint

    from orobserve.delivery.filters import Filters
    from orobserve.delivery.privacy import Mask, Pattern

Made: TypeAlias = "HTTPExporter | DirectExporter"
ExporterClass: TypeAlias = "type[HTTPExporter | DirectExporter]"

GROUP = "orobserve.exporters"
_SERVERS_OWN = {"id", "workspace_id", "created_at", "updated_at"}
_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all destinations resolve against: the environment, the mask and the key labels of the whole settings."""

    environ: Mapping[str, str] = field(repr=False)
    mask: Mask | None = None
    api_key_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """One destination, checked. The keys are Broadcast's, and five of ours; `orobserve.delivery.policy` obeys them.

    A destination that is not enabled has an empty `config`: nothing of it is looked up.
    """

    type: str
    name: str
    exporter: ExporterClass
    config: Mapping[str, Any] = field(repr=False)  # may hold secrets
    ready: Made | None = field(default=None, repr=False)  # given ready-made
    enabled: bool = True
    privacy_mode: bool = False
    sampling_rate: float = 1.0
    api_key_hashes: frozenset[str] | None = None  # None: all keys
    filter_rules: Filters | None = None
    broadcast_generation_cost: bool = False
    broadcast_generation_identity: bool = False
    broadcast_generation_request_context: bool = False
    always_send: frozenset[Exempt] = frozenset()
    always_send_above: float | None = None  # USD
    masks: tuple[Mask, ...] = ()
    mask_patterns: tuple[Pattern, ...] = ()
    api_key_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def wants_content(self) -> bool:
        """Whether messages must be captured for it: to be sent, or to be read by its filter."""
        reads = self.filter_rules is not None and self.filter_rules.reads_content
        return self.enabled and (reads or not self.privacy_mode)

    def make(self) -> Made:
        """Return the exporter: the ready-made one, or a new one."""
        return self.ready if self.ready is not None else self.exporter(self.config)


def installed() -> Mapping[str, EntryPoint]:
    """Return the entry points of all exporters by type."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, and rarely needed

    return {point.name: point for point in entry_points(group=GROUP)}


def find_exporter(kind: str, setting: str = "type") -> ExporterClass:
    """Return the class of a type, in whatever way it is spelt (`otel_collector`, `OTel-Collector`).

    Raises:
        ConfigurationError: there is none, or a package that it needs is missing.
    """
    points = installed()
    for name, point in points.items():
        if squash(name) == squash(kind):
            try:
                found: ExporterClass = point.load()
            except ImportError as error:
                fix = f"pip install 'orobserve[{name}]'"
                raise ConfigurationError(
                    setting, kind, allowed="a type whose packages are installed", fix=f"{fix} ({error})"
                ) from None
            return found
    known = sorted(points)
    raise ConfigurationError(
        setting, kind, allowed=", ".join(known) or "none, as no exporter is installed", fix=nearest(kind, known)
    )


def resolve(setting: str, value: object, shared: Shared) -> tuple[DestinationSettings, ...]:
    """Return the destinations, with distinct names.

    Args:
        setting: what the value is called in errors.
        value: a name, names with commas, a destination object, an exporter, or a list of those.
        shared: what they resolve against.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    found = [_one(setting, index, item, shared) for index, item in enumerate(_items(setting, value))]
    return _with_names(setting, found)


def _items(setting: str, value: object) -> Sequence[object]:
    if isinstance(value, str):
        return names(setting, value)
    if isinstance(value, (dict, HTTPExporter, DirectExporter)):
        return [value]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    raise _no_destination(setting, value)


def _no_destination(setting: str, value: object) -> ConfigurationError:
    allowed = "a list of names, destination objects or exporters, or names in one text with commas"
    return ConfigurationError(setting, value, allowed=allowed, fix=f'for example {setting}=["langfuse", "webhook"]')


def _one(setting: str, index: int, item: object, shared: Shared) -> DestinationSettings:
    label = f"{setting}[{index}]"
    if isinstance(item, str):
        return _from_object(label, {"config": {}}, find_exporter(item, setting), shared)
    if isinstance(item, (HTTPExporter, DirectExporter)):
        item = {"exporter": item}
    if not isinstance(item, dict):
        raise _no_destination(label, item)
    ready = item.get("exporter")
    if ready is not None:
        if not isinstance(ready, (HTTPExporter, DirectExporter)):
            raise ConfigurationError(
                f"{label}.exporter", ready, allowed="an Exporter object", fix="make it: Class(config)"
            )
        rest = {key: value for key, value in item.items() if key != "exporter"}
        return _from_object(label, rest, type(ready), shared, ready)
    kind = item.get("type")
    if not isinstance(kind, str):
        allowed = ", ".join(sorted(installed()))
        raise ConfigurationError(f"{label}.type", kind, allowed=allowed, fix="say which product it is")
    return _from_object(label, item, find_exporter(kind, f"{label}.type"), shared)


def _from_object(
    label: str, item: Mapping[str, Any], exporter: ExporterClass, shared: Shared, ready: Made | None = None
) -> DestinationSettings:
    values = _policy(label, item, exporter)
    own = values.pop("mask", None)
    masks = tuple(function for function in (shared.mask, own) if function is not None)
    logic = values.pop("groups_logic", "or")
    if "filter_rules" in values:
        values["filter_rules"] = filters.parse(f"{label}.filter_rules", values["filter_rules"], logic)
    config: Mapping[str, Any] = {} if ready is None else ready.config
    given = values.pop("config", {})
    if ready is None and values.get("enabled", True):
        config = check(f"{label}.config", given, exporter, shared.environ)
        make_once(label, exporter, config)
    return DestinationSettings(
        **{"name": "", "privacy_mode": exporter.PRIVATE, **values},
        type=exporter.TYPE,
        exporter=exporter,
        config=MappingProxyType(dict(config)),
        ready=ready,
        masks=masks,
        api_key_labels=shared.api_key_labels,
    )


def _policy(label: str, item: Mapping[str, Any], exporter: ExporterClass) -> dict[str, Any]:
    """Return what is given besides the type, checked one by one; null is the default."""
    known = {squash(key): key for key in _KEYS}
    values: dict[str, Any] = {}
    for given, value in item.items():
        key = known.get(squash(str(given)))
        if key is None and given not in _SERVERS_OWN | {"type"}:
            fix = nearest(str(given), _KEYS)
            if squash(str(given)) in {squash(entry.name) for entry in exporter.FIELDS}:
                fix = "write it inside config"
            raise ConfigurationError(f"{label}.{given}", HIDDEN, allowed=", ".join(["type", *_KEYS]), fix=fix)
        if key is not None and value is not None:
            values[key] = _KEYS[key](f"{label}.{given}", value)
    return values


def _with_names(setting: str, found: Sequence[DestinationSettings]) -> tuple[DestinationSettings, ...]:
    """Give those without a name their type's, numbered from the second on; names are distinct."""
    taken: set[str] = set()
    for index, item in enumerate(found):
        if item.name in taken:
            label = f"{setting}[{index}].name"
            raise ConfigurationError(
                label, item.name, allowed="a name that no other destination has", fix="choose another"
            )
        taken |= {item.name} - {""}
    named = []
    for item in found:
        candidates = (item.type if number == 1 else f"{item.type}-{number}" for number in range(1, len(found) * 2 + 1))
        name = item.name or next(name for name in candidates if name not in taken)
        taken.add(name)
        named.append(replace(item, name=name))
    return tuple(named)


def _as_given(_setting: str, value: object) -> object:
    return value


def _name(setting: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(setting, value, allowed="a text", fix="give it a name, or leave it out")
    return value.strip()


def _rate(setting: str, value: object) -> float:
    found = number(value)
    if found is None or not 0 <= found <= 1:
        raise ConfigurationError(setting, value, allowed="a number from 0 to 1", fix="for example 0.1 for a tenth")
    return found


def _amount(setting: str, value: object) -> float:
    found = number(value)
    if found is None or found < 0:
        raise ConfigurationError(setting, value, allowed="a cost in USD, 0 or more", fix="for example 0.50")
    return found


def _hashes(setting: str, value: object) -> frozenset[str]:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(item, str) for item in value):
        allowed = "a list of SHA-256 hashes of keys, at least one"
        raise ConfigurationError(setting, HIDDEN, allowed=allowed, fix="leave it out to mean all keys")
    for item in value:
        if not _HASH.fullmatch(item):
            fix = "take the `hash` of OpenRouter's Keys API: it is not the key, nor its label"
            raise ConfigurationError(setting, HIDDEN, allowed="SHA-256 hashes of keys, in hex", fix=fix)
    return frozenset(item.lower() for item in value)


def _exempt(setting: str, value: object) -> frozenset[Exempt]:
    one_of = OneOf(*(item.value for item in Exempt))
    return frozenset(Exempt(one_of(setting, word)) for word in names(setting, value))


def _mask(setting: str, value: object) -> object:
    if not callable(value):
        fix = "give it in code, to orobserve.instrument(destinations=...); a file has mask_patterns"
        raise ConfigurationError(setting, value, allowed="a function Content -> Content | None", fix=fix)
    return value


_KEYS: Mapping[str, Callable[[str, object], object]] = {
    "name": _name,
    "enabled": boolean,
    "config": _as_given,
    "privacy_mode": boolean,
    "sampling_rate": _rate,
    "api_key_hashes": _hashes,
    "filter_rules": _as_given,
    "broadcast_generation_cost": boolean,
    "broadcast_generation_identity": boolean,
    "broadcast_generation_request_context": boolean,
    "always_send": _exempt,
    "always_send_above": _amount,
    "groups_logic": filters.LOGIC,
    "mask": _mask,
    "mask_patterns": privacy.patterns,
}
