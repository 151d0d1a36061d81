// Asks the server. An answer that is not needed any more is given up.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Returns the JSON of an answer; throws `Refused`. */
export async function ask(path, query = {}, signal = undefined) {
  const given = query instanceof URLSearchParams ? query : new URLSearchParams(query);
  let answer;
  try {
    answer = await fetch(`/api/${path}?${given}`, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "orobserve ui does not answer: has it ended? Start it again, and open its new address.");
  }
  if (answer.status === 403)
    throw new Refused(403, "This page's token is not valid any more: open the address that orobserve ui has printed.");
  const found = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, found.error ?? `the server answered ${answer.status}`);
  return found;
}

/** Calls `run` again and again while the page is seen, `wait` milliseconds after it has ended; ends with the signal. */
export function repeat(run, wait, signal) {
  let timer;
  const next = () => {
    if (!signal.aborted) timer = setTimeout(turn, typeof wait === "function" ? wait() : wait);
  };
  const turn = async () => {
    if (!document.hidden) {
      try {
        await run();
      } catch (error) {
        if (error.name !== "AbortError" && !(error instanceof Refused)) throw error;
        document.documentElement.classList.toggle("offline", error instanceof Refused);
        return next();
      }
      document.documentElement.classList.remove("offline");
    }
    next();
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  next();
}
