"""Carries a job through the end of a gateway with the Python client: says each event, what the test is to do, and at last what it saw."""

import json
import os
import sys
import time

import docstream

client = docstream.Client(os.environ["DOCSTREAM_SERVER"], os.environ["DOCSTREAM_API_KEY"])


def say(**line):
    print(json.dumps(line), flush=True)


def code(call, *args, **named):
    try:
        call(*args, **named)
    except docstream.Error as error:
        return error.code
    return ""


def genuine(message, body, **named):
    try:
        docstream.verify(os.environ["WEBHOOK_SECRET"], message["headers"], body.encode(), **named)
    except docstream.Forged:
        return False
    return True


scan, receiver = sys.argv[1:]
saw = {}
job = client.submit(scan, webhook_url=receiver, idempotency_key="carried by Python", metadata={"carried": "python"})["job_id"]
for event in client.follow(job):
    say(event=event)
saw["status"] = client.job(job)["status"]
say(kill=True)
sys.stdin.readline()
saw["same"] = client.submit(scan, webhook_url=receiver, idempotency_key="carried by Python", metadata={"carried": "python"})["job_id"] == job
saw["result"] = client.result(job, "text").decode()
saw["listed"] = [j["job_id"] for j in client.jobs(tag=["carried:python"])] == [job]
with open(scan, "rb") as file:
    long = client.submit(file.read(), filename="scan.pdf", webhook_url=receiver)["job_id"]
client.cancel(long)
saw["cancelled"] = client.wait(long)["status"]
say(job=job)
message = json.loads(sys.stdin.readline())
saw["genuine"] = genuine(message, message["body"])
saw["forged"] = genuine(message, message["body"] + " ") or genuine(message, message["body"], now=time.time() + 3600)
client.delete(job)
client.delete(job)
saw["deleted"] = 204  # or it would have been an error
saw["gone"] = code(client.job, job)
saw["error"] = code(client.job, "job_00000000000000000000000000", wait=1)
say(saw=saw)
