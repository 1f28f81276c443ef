// Goes through the REST API with the client that was generated from its description: submit, follow, result, list, cancel, delete, error.
// It prints what it saw as JSON, for all languages alike.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const name = "typescript";
const client = createClient<paths>({
  baseUrl: process.env.DOCSTREAM_SERVER!,
  headers: { Authorization: `Bearer ${process.env.DOCSTREAM_API_KEY}` },
});

async function submit(filename: string, document: Buffer): Promise<string> {
  const { data, error } = await client.POST("/api/v1/documents", {
    params: { header: { "Idempotency-Key": `${name} ${filename}` } },
    body: { base64: document.toString("base64"), filename, metadata: { walk: name } },
  });
  if (!data || !("job_id" in data)) throw new Error(JSON.stringify(error ?? data));
  return data.job_id;
}

async function follow(job_id: string): Promise<string> {
  for (;;) {
    const { data, error } = await client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id }, query: { wait: "10s" } } });
    if (!data) throw new Error(JSON.stringify(error));
    if (data.status !== "pending" && data.status !== "processing") return data.status;
  }
}

const note = await submit("note.txt", Buffer.from("A note for the walk.\n"));
const again = await submit("note.txt", Buffer.from("A note for the walk.\n"));
const status = await follow(note);
const result = await client.GET("/api/v1/jobs/{job_id}/result", { params: { path: { job_id: note }, query: { format: "text" } }, parseAs: "text" });
const list = await client.GET("/api/v1/jobs", { params: { query: { tag: [`walk:${name}`] } } });
const listed = list.data?.jobs.map((job) => job.job_id) ?? [];
const long = await submit("scan.pdf", readFileSync(process.argv[2]!));
await client.POST("/api/v1/jobs/{job_id}/cancel", { params: { path: { job_id: long } } });
const cancelled = await follow(long);
const deleted = await client.DELETE("/api/v1/jobs/{job_id}", { params: { path: { job_id: note } } });
const gone = await client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: note } } });
const unknown = await client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: "job_00000000000000000000000000" } } });
console.log(JSON.stringify({
  same: again === note,
  status,
  result: String(result.data).trim(),
  listed: listed.length === 1 && listed[0] === note,
  cancelled,
  deleted: deleted.response.status,
  gone: gone.error?.error.code,
  error: unknown.error?.error.code,
}));
