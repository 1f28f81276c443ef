"""Verifies webhooks from standard input with the standard-webhooks library, one a line: {"secret", "headers", "body"}."""
import json
import sys

from standardwebhooks import Webhook

for line in sys.stdin:
    given = json.loads(line)
    print(json.dumps(Webhook(given["secret"]).verify(given["body"], given["headers"])))
