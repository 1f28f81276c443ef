#!/usr/bin/env python3
"""Submits a document to Docstream by writing one record into a documents lane, without its API.

The document lies in a bucket already. The record is a DocumentSubmitted in Avro, in the Confluent wire format, signed with the
producer key of the tenant, which the variable PRODUCER_KEY holds. Prints the job id.

    pip install --require-hashes -r requirements.txt
    python3 submit.py --brokers HOST:PORT --registry http://HOST:PORT --tenant acme --bucket scans --object-key in/a.pdf --size 12345
"""

import argparse
import base64
import hashlib
import hmac
import io
import json
import os
import struct
import sys
import time
import urllib.request

from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghjkmnpqrstvwxyz")


def new_job_id():
    """48 bits of milliseconds, then 80 random bits, so that ids sort by time. The same id again is the same job: keep it for retries."""
    raw = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)
    return "job_" + base64.b32encode(raw).decode().rstrip("=").translate(CROCKFORD)


def latest_schema(registry, subject):
    """Id and schema of the newest version that Docstream has registered for the lane."""
    with urllib.request.urlopen(f"{registry}/subjects/{subject}/versions/latest", timeout=20) as answer:
        found = json.load(answer)
    return found["id"], parse_schema(json.loads(found["schema"]))


def encode(schema_id, schema, event):
    """The Confluent wire format: a zero byte, the schema's id, the Avro body. Fields that are not named take the schema's defaults."""
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    schemaless_writer(out, schema, event)
    return out.getvalue()


def sign(key, topic, value):
    """docstream-signature: key id, colon, base64 of HMAC-SHA-256 over the full topic name, a zero byte and the value."""
    key_id, secret = key.removeprefix("dpk_").split("_", 1)
    mac = hmac.new(secret.encode(), topic.encode() + b"\0" + value, hashlib.sha256).digest()
    return key_id + ":" + base64.b64encode(mac).decode()


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    flags.add_argument("--brokers", required=True)
    flags.add_argument("--registry", required=True)
    flags.add_argument("--prefix", default="docstream.")
    flags.add_argument("--tenant", required=True)
    flags.add_argument("--class", dest="hardware", default="cpu", choices=["cpu", "gpu"])
    flags.add_argument("--priority", default="normal", choices=["high", "normal", "low"])
    flags.add_argument("--bucket", default="", help="registered for the tenant; empty: the platform's own")
    flags.add_argument("--object-key", required=True)
    flags.add_argument("--size", required=True, type=int)
    flags.add_argument("--media-type", default="")
    flags.add_argument("--job", default="", help="job id to use; by default a new one")
    args = flags.parse_args()

    topic = f"{args.prefix}documents.{args.hardware}.{args.priority}"
    job, now = args.job or new_job_id(), int(time.time() * 1_000_000)
    schema_id, schema = latest_schema(args.registry, topic + "-value")
    value = encode(schema_id, schema, {
        "tenant": args.tenant, "job_id": job, "at": now, "submitted_at": now, "class": args.hardware, "priority": args.priority,
        "source": {"bucket": args.bucket, "key": args.object_key, "size": args.size, "media_type": args.media_type,
                   "filename": args.object_key.rsplit("/", 1)[-1]},
    })

    failed = []
    producer = Producer({"bootstrap.servers": args.brokers, "enable.idempotence": True, "delivery.timeout.ms": 30000})
    producer.produce(topic, key=job, value=value, headers={"docstream-signature": sign(os.environ["PRODUCER_KEY"], topic, value)},
                     on_delivery=lambda error, _: failed.append(error) if error else None)
    if producer.flush(40) or failed:
        sys.exit(f"not appended: {failed or 'the brokers do not answer'}")
    print(job)


if __name__ == "__main__":
    main()
