// A page of the format docstream.page/1 as elements. What a document says becomes text and nothing else: there is no parser here that its
// words could reach, and a link leads only to the web, to a letter or to a call.

export function make(tag, text, changes) {
  const e = document.createElement(tag);
  if (text) e.textContent = text;
  return Object.assign(e, changes);
}

const schemes = ["http:", "https:", "mailto:", "tel:"];

function address(target) {
  try {
    const u = new URL(target); // only whole addresses: a relative one would lead into this service
    return schemes.includes(u.protocol) ? u.href : "";
  } catch {
    return "";
  }
}

const tags = { strong: "strong", emphasis: "em", code: "code", note_ref: "sup" };

function wrap(node, span) {
  if (span.kind === "link") {
    const href = address(span.target ?? "");
    if (!href) return node;
    const a = make("a", "", { href, target: "_blank", rel: "noopener noreferrer nofollow" });
    a.append(node);
    return a;
  }
  if (!Object.hasOwn(tags, span.kind)) return node;
  const e = make(tags[span.kind]);
  e.append(node);
  return e;
}

// inline writes a text with its spans, which count code points and may lie in one another.
function inline(into, text = "", spans = []) {
  const points = Array.from(text);
  const cuts = [...new Set([0, points.length, ...spans.flatMap((s) => [s.start, s.end])])].filter((n) => n >= 0 && n <= points.length).sort((a, b) => a - b);
  for (let i = 0; i + 1 < cuts.length; i++) {
    let node = document.createTextNode(points.slice(cuts[i], cuts[i + 1]).join(""));
    for (const s of spans) if (s.start <= cuts[i] && s.end >= cuts[i + 1]) node = wrap(node, s);
    into.append(node);
  }
  return into;
}

const bounded = (n, most) => Math.max(1, Math.min(Number(n) || 1, most));

function table(t) {
  const e = make("table");
  const rows = new Map();
  for (const c of [...(t.cells ?? [])].sort((a, b) => a.row - b.row || a.column - b.column)) {
    if (!rows.has(c.row)) rows.set(c.row, e.insertRow());
    const cell = inline(make(c.header ? "th" : "td", "", { rowSpan: bounded(c.row_span, 1000), colSpan: bounded(c.column_span, 1000) }), c.text, c.spans);
    rows.get(c.row).append(cell);
  }
  return e;
}

function block(b, picture) {
  switch (b.kind) {
    case "heading":
      return inline(make(`h${bounded((b.level ?? 1) + 3, 6)}`), b.text, b.spans);
    case "table":
      return table(b.table ?? {});
    case "code":
      return make("pre", b.text);
    case "figure": {
      const e = make("figure");
      if (b.image?.name) {
        const img = make("img", "", { alt: b.text || "A figure of the document" });
        e.append(img);
        picture(b.image.name).then((src) => { img.src = src; }, () => img.remove());
      }
      if (b.text) e.append(make("figcaption", b.text));
      return e.childNodes.length ? e : make("p", "[figure]", { className: "aside" });
    }
    case "header":
    case "footer":
    case "caption":
    case "note":
    case "reference":
      return inline(make("p", b.label ? `${b.label} ` : "", { className: "aside" }), b.text, b.spans);
  }
  return inline(make("p"), b.text, b.spans);
}

// render returns the elements of a page. picture promises an address of the picture of a name.
export function render(page, picture) {
  const out = document.createDocumentFragment();
  let list = null;
  if (page.title) out.append(make("h4", page.title));
  for (const b of page.blocks ?? []) {
    if (b.kind !== "list_item") {
      list = null;
      out.append(block(b, picture));
      continue;
    }
    if (!list) out.append((list = make("ul")));
    list.append(inline(make("li", "", { className: `level-${bounded(b.level, 3)}` }), b.text, b.spans));
  }
  for (const w of page.warnings ?? []) out.append(make("p", w.message, { className: "aside" }));
  if (!out.childNodes.length) out.append(make("p", "The page is empty.", { className: "aside" }));
  return out;
}
