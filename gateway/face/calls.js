// Calls of the API. The key is kept in this tab's session and goes out in the header, never in an address.

const root = new URL("../", document.baseURI);
const slot = "docstream.key";

export const key = {
  get: () => sessionStorage.getItem(slot) ?? "",
  set: (k) => sessionStorage.setItem(slot, k),
  forget: () => sessionStorage.removeItem(slot),
};

// Refused is an error the API answered, or that no answer came (code NO_ANSWER).
export class Refused extends Error {
  constructor(status, code, message, request, after) {
    super(message);
    Object.assign(this, { status, code, request, after });
  }
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500 || this.code === "IDEMPOTENCY_IN_FLIGHT";
  }
}

// call makes a request and returns its answer, or throws a Refused. 202 to a question is an error too: there is nothing yet.
export async function call(path, options = {}) {
  let res;
  try {
    res = await fetch(new URL(path, root), { ...options, headers: { Authorization: `Bearer ${key.get()}`, ...options.headers }, redirect: "error", credentials: "omit" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Refused(0, "NO_ANSWER", "The service does not answer.", "", 1);
  }
  if (res.ok && !(res.status === 202 && !options.method)) return res;
  const after = Number(res.headers.get("Retry-After")) || 1;
  const body = await res.json().catch(() => ({}));
  throw new Refused(res.status, body.error?.code ?? `HTTP ${res.status}`, body.error?.message ?? "The answer cannot be read.", body.request_id ?? "", after);
}

export const pause = (seconds, signal) =>
  new Promise((done, fail) => {
    const timer = setTimeout(done, 1000 * Math.min(seconds, 30));
    signal?.addEventListener("abort", () => { clearTimeout(timer); fail(new DOMException("over", "AbortError")); }, { once: true });
  });

// submit sends a document. Where the outcome is unknown it is sent again under the same key, so that there is one job.
export async function submit(form) {
  const once = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  for (let attempt = 1; ; attempt++) {
    try {
      const res = await call("api/v1/documents", { method: "POST", body: form, headers: { "Idempotency-Key": once } });
      return await res.json();
    } catch (e) {
      if (!(e instanceof Refused) || !e.passing || attempt === 5) throw e;
      await pause(e.after);
    }
  }
}

// follow tells every change of a job until it has ended. A stream that breaks off goes on where it was.
export async function follow(id, tell, signal) {
  let last = "";
  for (;;) {
    try {
      const res = await call(`api/v1/jobs/${id}/events`, { headers: { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) }, signal });
      if (res.status === 204) return;
      for await (const event of events(res.body)) {
        last = event.id || last;
        if (!event.data) continue;
        const change = JSON.parse(event.data);
        await tell(change);
        if (ended(change.status)) return;
      }
    } catch (e) {
      if (e.name === "AbortError" || (e instanceof Refused && !e.passing)) throw e;
      await pause(e.after ?? 1, signal);
    }
  }
}

export const ended = (status) => ["completed", "partial", "failed", "cancelled", "expired"].includes(status);

// events reads Server-Sent Events.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = { id: "", data: "" };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        yield event;
        event = { id: "", data: "" };
      } else if (line.startsWith("id:")) event.id = line.slice(3).trim();
      else if (line.startsWith("data:")) event.data += line.slice(5).trim();
    }
  }
}
