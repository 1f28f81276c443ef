import { Refused, call, ended, follow, key, pause, submit } from "./calls.js";
import { make, render } from "./render.js";

const $ = (id) => document.getElementById(id);
const endings = { markdown: ".md", json: ".json", html: ".html", csv: ".csv", text: ".txt", zip: ".zip" };

let job = null; // what is shown: id, the controller that ends its work, pages that are listed, the page that is open
let memory = []; // addresses of pictures, given back when the page changes

function problem(e) {
  $("problem").hidden = !e;
  if (!e) return;
  if (!(e instanceof Refused)) console.error(e);
  $("problem").textContent = e instanceof Refused ? `${e.code}: ${e.message}${e.request ? ` (${e.request})` : ""}` : `This page has failed: ${e.message}`;
  if (e.status === 401) signed(false);
}

// guarded shows what goes wrong in what a person asked for.
const guarded = (work) => async (event) => {
  event?.preventDefault();
  problem(null);
  try {
    await work(event);
  } catch (e) {
    if (e.name !== "AbortError") problem(e);
  }
};

function signed(yes) {
  $("key-form").hidden = yes;
  $("signed").hidden = $("send").hidden = !yes;
}

$("key-form").addEventListener("submit", guarded(async () => {
  key.set($("key").value.trim());
  try {
    await call("api/v1/capacity");
  } catch (e) {
    if (e.status === 401 || e.status === 403) key.forget();
    throw e;
  }
  $("key").value = "";
  signed(true);
  $("file").focus();
  resume();
}));

$("forget").addEventListener("click", () => {
  key.forget();
  leave();
  location.hash = "";
  signed(false);
  $("key").focus();
});

for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (e) => {
    e.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && e.dataTransfer.files.length && !$("send").hidden) {
      $("file").files = e.dataTransfer.files;
      $("send").requestSubmit();
    }
  });
}

$("send").addEventListener("submit", guarded(async () => {
  const file = $("file").files[0];
  if (!file) return $("file").focus();
  const form = new FormData();
  form.append("file", file);
  form.append("ocr", $("ocr").value);
  if ($("figures").checked) form.append("figures", "on");
  $("submit").disabled = true;
  leave();
  show(file.name, "sending");
  try {
    location.hash = (await submit(form)).job_id;
  } catch (e) {
    leave();
    throw e;
  } finally {
    $("submit").disabled = false;
  }
}));

addEventListener("hashchange", () => resume());

// resume shows the job of the address, so that the page can be loaded again.
const resume = guarded(async () => {
  const id = location.hash.slice(1);
  if (!/^job_[0-9a-z]{26}$/.test(id) || !key.get() || job?.id === id) return;
  leave();
  job = { id, ends: new AbortController(), listed: new Map(), open: 0, chosen: false };
  await watch(job);
});

function leave() {
  job?.ends.abort();
  job = null;
  forgetPictures();
  $("job").hidden = $("book").hidden = true;
  $("failures").hidden = true;
  $("pages").replaceChildren();
  $("downloads").replaceChildren();
  $("reading").replaceChildren();
}

function show(name, status, progress = {}) {
  $("job").hidden = false;
  $("name").textContent = name;
  const pages = progress.pages_total ? `, ${progress.pages_done} of ${progress.pages_total} pages` : "";
  $("status").textContent = status + pages + (progress.pages_failed ? `, ${progress.pages_failed} failed` : "");
  if (progress.percent === undefined) $("progress").removeAttribute("value");
  else $("progress").value = progress.percent;
  $("cancel").hidden = !job || ended(status);
}

async function look(j) {
  const body = await (await call(`api/v1/jobs/${j.id}`, { signal: j.ends.signal })).json();
  j.name = body.source.filename || j.id;
  show(j.name, body.status, body.progress);
  return body;
}

// watch follows a job to its end, lists its pages as they are finished, and then offers what can be saved.
async function watch(j) {
  await look(j);
  await follow(j.id, async (change) => {
    show(j.name, change.status, change.progress);
    await list(j);
  }, j.ends.signal);
  await list(j);
  const body = await look(j);
  if (body.error) problem(new Refused(200, body.error.code, body.error.message, ""));
  $("failures").hidden = !body.failures?.length;
  $("failures").replaceChildren(...(body.failures ?? []).map((f) => make("li", `Page ${f.page}: ${f.code}: ${f.message}`)));
  const formats = body.formats ?? [];
  $("downloads").replaceChildren(...(formats.length ? [...formats, "zip"] : []).map((f) => {
    const b = make("button", `Save ${f}`, { type: "button" });
    b.addEventListener("click", guarded(() => save(j, f)));
    return b;
  }));
}

$("cancel").addEventListener("click", guarded(() => call(`api/v1/jobs/${job.id}/cancel`, { method: "POST" })));

function* numbers(ranges) {
  for (const r of ranges ? ranges.split(",") : []) {
    const [first, last] = r.split("-").map(Number);
    for (let n = first; n <= (last ?? first); n++) yield n;
  }
}

// list adds the pages that can be read by now; of changes that come while it asks only the last counts.
async function list(j) {
  if (j.listing) {
    j.again = true;
    return;
  }
  j.listing = true;
  try {
    do {
      j.again = false;
      const body = await (await call(`api/v1/jobs/${j.id}/pages`, { signal: j.ends.signal })).json();
      for (const n of numbers(body.finished)) add(j, n);
    } while (j.again);
  } catch (e) {
    if (!(e instanceof Refused) || !e.passing) throw e;
    await pause(e.after, j.ends.signal);
  } finally {
    j.listing = false;
  }
}

function add(j, n) {
  if (j.listed.has(n)) return;
  const item = make("li"), button = make("button", `Page ${n}`, { type: "button" });
  button.addEventListener("click", guarded(() => { j.chosen = true; return open(j, n); }));
  item.append(button);
  const behind = [...j.listed.keys()].filter((m) => m > n).sort((a, b) => a - b)[0];
  $("pages").insertBefore(item, behind ? j.listed.get(behind).parentNode : null);
  j.listed.set(n, button);
  $("book").hidden = false;
  if (!j.open) guarded(() => open(j, n))();
}

function forgetPictures() {
  for (const address of memory) URL.revokeObjectURL(address);
  memory = [];
}

async function picture(path, signal) {
  const address = URL.createObjectURL(await (await call(path, { signal })).blob());
  memory.push(address);
  return address;
}

// open shows a page the way that is chosen. What was asked for before and comes later is passed over.
async function open(j, n) {
  j.open = n;
  for (const [m, b] of j.listed) {
    if (m === n) b.setAttribute("aria-current", "page");
    else b.removeAttribute("aria-current");
  }
  $("page-name").textContent = `Page ${n}`;
  const view = document.querySelector("input[name=view]:checked").value, format = $("format").value, signal = j.ends.signal;
  const turn = (j.turn = Symbol());
  const path = `api/v1/jobs/${j.id}/pages/${n}`;
  forgetPictures();
  let content;
  if (view === "raw") content = make("pre", await (await call(`${path}?format=${format}`, { signal })).text());
  else if (view === "picture") content = make("img", "", { src: await picture(`${path}/image`, signal), alt: `Page ${n} as it was read` });
  else content = render(await (await call(`${path}?format=json`, { signal })).json(), (name) => picture(`api/v1/jobs/${j.id}/${name}`, signal));
  if (j.turn === turn) {
    $("reading").dataset.view = view === "raw" ? format : view;
    $("reading").dataset.page = n;
    $("reading").replaceChildren(content);
  }
}

for (const e of [...document.querySelectorAll("input[name=view]"), $("format")]) {
  e.addEventListener("change", guarded(() => job?.open && open(job, job.open)));
}

// save fetches an output with the key and hands it to the browser as a file.
async function save(j, format) {
  const res = await call(`api/v1/jobs/${j.id}/result?format=${format}&through=1`, { signal: j.ends.signal });
  const address = URL.createObjectURL(await res.blob());
  make("a", "", { href: address, download: j.name.replace(/\.[^.]*$/, "") + endings[format] }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

signed(Boolean(key.get()));
resume();
