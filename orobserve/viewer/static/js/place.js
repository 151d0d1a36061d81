// Where we are: the page and the filters, all of it in the URL.

export const FIELDS = ["model", "provider", "user", "session", "key", "tag"];
const KEPT = [...FIELDS, "errors", "since", "until", "by", "each"]; // what links between the pages carry along
export const SPANS = ["1h", "24h", "7d", "30d", "all"];
export const DEFAULT_SPAN = "24h";

export const query = () => new URLSearchParams(location.search);

/** Returns the query of the calls that are meant, with what is not said filled in. */
export function wanted(span = DEFAULT_SPAN) {
  const found = new URLSearchParams([...query()].filter(([name]) => KEPT.includes(name)));
  if (!found.get("since") && !found.get("until")) found.set("since", span);
  return found;
}

/** Returns the address of a page with the filters of now, changed; null removes one. */
export function address(path, changes = {}) {
  const found = new URLSearchParams([...query()].filter(([name]) => KEPT.includes(name)));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) found.delete(name);
    else found.set(name, value);
  }
  const text = found.toString();
  return text ? `${path}?${text}` : path;
}

export const here = (changes) => address(location.pathname, changes);

export function callAddress(row) {
  return `/call?${new URLSearchParams({ id: row.key ?? row.generation_id ?? row.span_id })}`;
}

export const sessionAddress = (id) => `/session?${new URLSearchParams({ id })}`;

/** Goes to an address of this page, as a click on a link does. */
export function go(to, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  dispatchEvent(new Event("place"));
}
