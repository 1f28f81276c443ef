"""Does one thing with the Python client: job ID (three times), submit TEXT, result ID, batch LINES or upload FILE. Says what came, or the code of the error, as JSON."""

import json
import os
import sys

import docstream

client = docstream.Client(os.environ["DOCSTREAM_SERVER"], os.environ["DOCSTREAM_API_KEY"])
what, given = sys.argv[1:]
try:
    if what == "job":
        said = [client.job(given)["job_id"] for _ in range(3)][-1]
    elif what == "submit":
        said = client.submit(given.encode(), filename="a.txt")["job_id"]
    elif what == "batch":
        batch = client.create_batch(given.encode(), priority="low")["batch_id"]
        last = [b for b in client.follow_batch(batch)][-1]
        assert batch in [b["batch_id"] for b in client.batches()]
        said = " ".join([last["status"]] + [f'{i["custom_id"]}={(i.get("error") or {}).get("code") or i["status"]}' for i in client.batch_items(batch)])
    elif what == "upload":
        sent = []
        said = client.upload(given, priority="high", metadata={"order": "7"}, progress=sent.append)["job_id"]
        assert sent[-1] == os.path.getsize(given), sent
    else:
        said = client.result(given, "text").decode()
except docstream.Error as error:
    said = error.code
print(json.dumps(said))
