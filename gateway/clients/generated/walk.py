"""Goes through the REST API with the client that was generated from its description: submit, follow, result, list, cancel, delete, error.
It prints what it saw as JSON, for all languages alike."""

import base64
import json
import os
import sys

from docstream_api import AuthenticatedClient
from docstream_api.api.documents import submit_document
from docstream_api.api.jobs import cancel_job, delete_job, get_job, get_result, list_jobs
from docstream_api.models import JobStatus, Submission

NAME = "python"
client = AuthenticatedClient(base_url=os.environ["DOCSTREAM_SERVER"], token=os.environ["DOCSTREAM_API_KEY"], timeout=60)


def submit(filename, document):
    body = Submission.from_dict({"base64": base64.b64encode(document).decode(), "filename": filename, "metadata": {"walk": NAME}})
    return submit_document.sync(client=client, body=body, idempotency_key=f"{NAME} {filename}").job_id


def follow(job):
    while True:
        status = get_job.sync(job, client=client, wait="10s").status
        if status not in (JobStatus.PENDING, JobStatus.PROCESSING):
            return status.value


note = submit("note.txt", b"A note for the walk.\n")
again = submit("note.txt", b"A note for the walk.\n")
status = follow(note)
result = get_result.sync_detailed(note, client=client, format_="text").content.decode().strip()
listed = [job.job_id for job in list_jobs.sync(client=client, tag=["walk:" + NAME]).jobs]
with open(sys.argv[1], "rb") as scan:
    long = submit("scan.pdf", scan.read())
cancel_job.sync(long, client=client)
cancelled = follow(long)
deleted = delete_job.sync_detailed(note, client=client).status_code
gone = get_job.sync(note, client=client)
unknown = get_job.sync("job_00000000000000000000000000", client=client)
print(json.dumps({
    "same": again == note, "status": status, "result": result, "listed": listed == [note], "cancelled": cancelled, "deleted": int(deleted),
    "gone": gone.error.code.value, "error": unknown.error.code.value,
}))
