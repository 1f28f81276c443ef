"""Prints every record of the files that are named, one JSON object a line; bytes as hex."""
import json, sys
import fastavro

for path in sys.argv[1:]:
    with open(path, "rb") as f:
        for r in fastavro.reader(f):
            r["timestamp"] = r["timestamp"].isoformat()
            print(json.dumps(r, default=lambda b: b.hex()))
